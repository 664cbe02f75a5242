import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import {
  createModelObjects,
  createModelStore,
  type ModelObjects,
  type Step,
} from "../../../../test/mounter/model-store.ts";
import { digestOf } from "../../../../test/mounter/sample-snapshot.ts";
import { layerPaths } from "./cache-paths.ts";
import { createSpareDisk } from "../../domain/spare-disk.ts";
import { createLayerCache, type HeldLayer, type LayerCache, type LayerCacheConfig } from "./layer-cache.ts";

const call = { signal: new AbortController().signal };
let dir = "";
let model: ModelObjects;
const clock = createManualClock();

beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), "atoll-cache-")), "cache");
  model = createModelObjects();
});
// What a download has begun on the disk may go on after its last byte was read.
afterEach(() => rm(join(dir, ".."), { recursive: true, force: true, maxRetries: 20 }));

const bytesOf = (seed: number, sizeBytes = 100): Uint8Array =>
  Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 7 + seed * 31) % 251);

/** Puts a layer into the store. */
async function stored(seed: number, sizeBytes = 100): Promise<{ key: string; digest: string; bytes: number }> {
  const bytes = bytesOf(seed, sizeBytes);
  const key = `rootfssnapshots/a/x.w${seed}.tar.zst`;
  await createModelStore(model).put(key, bytes, { kind: "always" }, call);
  return { key, digest: digestOf(bytes), bytes: bytes.length };
}

function open(options: Partial<LayerCacheConfig> = {}, step?: Step): Promise<LayerCache> {
  const config = { dir, maxBytes: 1000, reserveBytes: 0, partBytes: 16, ...options };
  return createLayerCache(config, { store: createModelStore(model, step), clock });
}

/** Counts reads of the store. */
function counted(): { readonly step: Step; reads: number } {
  const count = {
    reads: 0,
    step: async (when: string, what: string): Promise<void> => {
      if (when === "before" && what.startsWith("read")) count.reads += 1;
    },
  };
  return count;
}

describe("createLayerCache() as one that keeps what others may need the disk for", () => {
  test("gives up what nobody holds, the longest unused first, and brings it again", async () => {
    const spare = createSpareDisk();
    const [a, b, c] = [await stored(1), await stored(2), await stored(3)];
    const cache = await createLayerCache(
      { dir, maxBytes: 1000, reserveBytes: 0, partBytes: 16 },
      { store: createModelStore(model), clock, spare },
    );
    for (const layer of [a, c]) (await cache.hold("a", layer, call)).release();
    await cache.hold("a", b, call);
    expect(spare.bytes).toBe(200);
    await spare.free(150);
    expect([spare.bytes, cache.usage().bytes]).toEqual([0, 100]);
    expect((await cache.hold("a", a, call)).bytes).toBe(100);
  });
});

describe("createLayerCache() hold()", () => {
  test("brings a layer in parts, once for all who ask, and for each namespace by itself", async () => {
    const layer = await stored(1);
    const count = counted();
    const cache = await open({}, count.step);
    const held = await Promise.all([1, 2, 3].map(() => cache.hold("a", layer, call)));
    expect(count.reads).toBe(7);
    for (const { path } of held) expect(digestOf(await readFile(path))).toBe(layer.digest);
    await cache.hold("a", layer, call);
    expect(count.reads).toBe(7);
    const other = await cache.hold("b", layer, call);
    expect(count.reads).toBe(14);
    expect(other.path).not.toBe(held[0]?.path);
    expect([...cache.usage().namespaces]).toEqual([
      ["a", { layers: 1, bytes: 100, pinnedBytes: 100 }],
      ["b", { layers: 1, bytes: 100, pinnedBytes: 100 }],
    ]);
  });

  test("who leaves ends it for nobody else; what is there of a download goes on after a restart", async () => {
    const layer = await stored(2);
    let reads = 0;
    const stuck = Promise.withResolvers<void>();
    const cache = await open({ lanes: { all: 1, each: 1 } }, async (when, what) => {
      if (when !== "before" || !what.startsWith("read")) return;
      reads += 1;
      if (reads === 4) stuck.resolve();
      if (reads >= 4) await new Promise<never>(() => undefined);
    });
    const [first, second] = [new AbortController(), new AbortController()];
    const seen: number[] = [];
    const onProgress = (done: number): void => void seen.push(done);
    const one = cache.hold("a", layer, { signal: first.signal, onProgress });
    const two = cache.hold("a", layer, { signal: second.signal });
    first.abort(new Error("first left"));
    await expect(one).rejects.toThrow("first left");
    await stuck.promise;
    expect(cache.usage().promisedBytes).toBe(100);
    // As if this process were gone here: nothing of it goes on.
    two.catch(() => undefined);
    const count = counted();
    const next = await open({}, count.step);
    expect(next.usage().bytes).toBe(48);
    const { path } = await next.hold("a", layer, call);
    expect(count.reads).toBe(4);
    expect(digestOf(await readFile(path))).toBe(layer.digest);
    expect(await readdir(join(dir, "a/partial"))).toEqual([]);
  });

  test("parts that an ended process left damaged cost a download, not the layer", async () => {
    const layer = await stored(3);
    const end = new AbortController();
    const cache = await open({}, async (when, what) => {
      if (when === "before" && what.startsWith("read") && cache.usage().promisedBytes > 0 && (reads += 1) > 6)
        end.abort(new Error("enough"));
    });
    let reads = 0;
    await expect(cache.hold("a", layer, { signal: end.signal })).rejects.toThrow("enough");
    await cache.close();
    const partial = (await readdir(join(dir, "a/partial"))).find((name) => !name.includes("."));
    await truncate(join(dir, "a/partial", partial ?? ""), 20);
    const { path } = await (await open()).hold("a", layer, call);
    expect(digestOf(await readFile(path))).toBe(layer.digest);
  });

  test("what has another digest is a fault, and nothing of it stays", async () => {
    const layer = { ...(await stored(4)), digest: digestOf(bytesOf(5)) };
    const cache = await open();
    await expect(cache.hold("a", layer, call)).rejects.toMatchObject({ name: "SnapshotFault", code: "damaged" });
    expect(cache.usage()).toMatchObject({ bytes: 0, promisedBytes: 0 });
    expect(await readdir(join(dir, "a/partial"))).toEqual([]);
    await expect(cache.hold("a", { ...layer, bytes: 99 }, call)).rejects.toMatchObject({ code: "damaged" });
  });

  test("a raw archive is of the version asked for, and is found by it again", async () => {
    const { key, bytes, digest } = await stored(6);
    const count = counted();
    const cache = await open({}, count.step);
    const version = model.objects.get(key)?.version ?? "";
    const held = await cache.hold("a", { key, bytes, version }, call);
    expect(held.digest).toBe(digest);
    await cache.hold("a", { key, bytes, version }, call);
    expect(count.reads).toBe(7);
    await expect(cache.hold("a", { key, bytes, version: "other" }, call)).rejects.toMatchObject({ kind: "changed" });
  });

  test("knows only so many raw archives by what they were asked for; others are brought again", async () => {
    const count = counted();
    const cache = await open({ mostFound: 2, partBytes: 100 }, count.step);
    const layers = [];
    for (const seed of [1, 2, 3]) {
      const { key, bytes } = await stored(seed);
      layers.push({ key, bytes, version: model.objects.get(key)?.version ?? "" });
    }
    for (const layer of layers) (await cache.hold("a", layer, call)).release();
    for (const layer of layers.slice(1)) (await cache.hold("a", layer, call)).release();
    expect(count.reads).toBe(3);
    for (const layer of layers.slice(0, 1)) (await cache.hold("a", layer, call)).release();
    expect([count.reads, cache.usage().bytes]).toEqual([4, 300]);
  });

  test("no namespace leads out of the folder", async () => {
    const layer = await stored(1);
    const cache = await open();
    for (const namespace of ["..", "a/b", "", "A", "x".repeat(64)])
      await expect(cache.hold(namespace, layer, call)).rejects.toBeInstanceOf(RangeError);
  });
});

/** Holds back reads of the store until it is told how many may go on. */
function gated(): { readonly step: Step; readonly pass: (count: number) => void; begun: number } {
  const waiting: (() => void)[] = [];
  let free = 0;
  const gate = {
    begun: 0,
    step: async (when: string, what: string): Promise<void> => {
      if (when !== "before" || !what.startsWith("read")) return;
      gate.begun += 1;
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    pass(count: number): void {
      for (let left = count; left > 0; left -= 1) {
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next();
      }
    },
  };
  return gate;
}

const sizeOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, { length }) => sum + length, 0);

/** Reads in the background. */
function reading(source: AsyncIterable<Uint8Array>): { readonly chunks: Uint8Array[]; readonly done: Promise<void> } {
  const chunks: Uint8Array[] = [];
  const done = (async () => {
    for await (const chunk of source) chunks.push(Uint8Array.from(chunk));
  })();
  done.catch(() => undefined);
  return { chunks, done };
}

describe("createLayerCache() read()", () => {
  test("gives the bytes in order while more of them come, to all who read, with one download", async () => {
    const layer = await stored(1);
    const gate = gated();
    const cache = await open({ lanes: { all: 1, each: 1 } }, gate.step);
    const one = reading(cache.read("a", layer, call));
    const held = cache.hold("a", layer, call);
    gate.pass(2);
    await expect.poll(() => sizeOf(one.chunks)).toBe(32);
    const two = reading(cache.read("a", layer, call));
    await expect.poll(() => sizeOf(two.chunks)).toBe(32);
    gate.pass(5);
    await Promise.all([one.done, two.done]);
    for (const { chunks } of [one, two]) expect(digestOf(new Uint8Array(Buffer.concat(chunks)))).toBe(layer.digest);
    expect(digestOf(await readFile((await held).path))).toBe(layer.digest);
    const again = reading(cache.read("a", layer, call));
    await again.done;
    expect(digestOf(new Uint8Array(Buffer.concat(again.chunks)))).toBe(layer.digest);
    expect(gate.begun).toBe(7);
  });

  test("gives nothing that a missing part would stand before", async () => {
    const layer = await stored(1);
    const first = Promise.withResolvers<void>();
    let reads = 0;
    const cache = await open({ lanes: { all: 2, each: 2 } }, async (when, what) => {
      if (when === "before" && what.startsWith("read") && (reads += 1) === 1) await first.promise;
    });
    const { chunks, done } = reading(cache.read("a", layer, call));
    await expect.poll(() => reads).toBe(7);
    expect(chunks).toEqual([]);
    first.resolve();
    await done;
    expect(digestOf(new Uint8Array(Buffer.concat(chunks)))).toBe(layer.digest);
  });

  test("ends with a fault when the last byte shows another digest, and keeps nothing", async () => {
    const layer = { ...(await stored(4)), digest: digestOf(bytesOf(5)) };
    const cache = await open();
    const { chunks, done } = reading(cache.read("a", layer, call));
    await expect(done).rejects.toMatchObject({ name: "SnapshotFault", code: "damaged" });
    expect(sizeOf(chunks)).toBe(100);
    await expect.poll(() => cache.usage()).toMatchObject({ bytes: 0, promisedBytes: 0 });
    await expect.poll(() => readdir(join(dir, "a/partial"))).toEqual([]);
  });

  test("ends with the store's fault in the middle, and goes on from there when it is asked again", async () => {
    const layer = await stored(2);
    let reads = 0;
    const cache = await open({ lanes: { all: 1, each: 1 } }, async (when, what) => {
      if (when === "before" && what.startsWith("read") && (reads += 1) === 4) throw new Error("the store is gone");
    });
    const { chunks, done } = reading(cache.read("a", layer, call));
    await expect(done).rejects.toThrow("the store is gone");
    expect(sizeOf(chunks)).toBe(48);
    const again = reading(cache.read("a", layer, call));
    await again.done;
    expect(digestOf(new Uint8Array(Buffer.concat(again.chunks)))).toBe(layer.digest);
    expect(reads).toBe(8);
  });

  test("shows nothing of what an ended process left before all of it has been found to be right", async () => {
    const layer = await stored(3);
    let reads = 0;
    const before = await open({ lanes: { all: 1, each: 1 } }, async (when, what) => {
      if (when === "before" && what.startsWith("read") && (reads += 1) === 4) throw new Error("the process is gone");
    });
    const left = reading(before.read("a", layer, call));
    await expect(left.done).rejects.toThrow("the process is gone");
    await before.close();
    const partial = (await readdir(join(dir, "a/partial"))).find((name) => !name.includes("."));
    await truncate(join(dir, "a/partial", partial ?? ""), 20);
    const count = counted();
    const after = reading((await open({}, count.step)).read("a", layer, call));
    await after.done;
    expect(digestOf(new Uint8Array(Buffer.concat(after.chunks)))).toBe(layer.digest);
    expect(count.reads).toBe(4 + 7);
  });

  test("who stops reading ends the download, unless somebody else waits for it", async () => {
    const [lonely, shared] = [await stored(6), await stored(7)];
    const gate = gated();
    const cache = await open({ lanes: { all: 2, each: 1 } }, gate.step);
    for (const [layer, isShared] of [
      [lonely, false],
      [shared, true],
    ] as const) {
      const other = isShared ? cache.hold("a", layer, call) : undefined;
      gate.pass(1);
      for await (const chunk of cache.read("a", layer, call)) {
        expect(chunk.length).toBe(16);
        break;
      }
      gate.pass(6);
      if (isShared) expect((await other)?.digest).toBe(layer.digest);
      else await expect.poll(() => cache.usage().promisedBytes).toBe(0);
    }
    expect([...cache.usage().namespaces]).toEqual([["a", { layers: 1, bytes: 100, pinnedBytes: 100 }]]);
    const end = new AbortController();
    const aborted = reading(cache.read("a", await stored(8), { signal: end.signal }));
    end.abort(new Error("no more"));
    await expect(aborted.done).rejects.toThrow("no more");
  });

  test("a reader that is slow holds up nobody and misses nothing", async () => {
    const layer = await stored(1);
    const cache = await open();
    const slow = cache.read("a", layer, call);
    const chunks = [Uint8Array.from((await slow.next()).value ?? [])];
    const held = await cache.hold("a", layer, call);
    // Its file has been moved to its place since it was opened.
    held.release();
    for await (const chunk of slow) chunks.push(Uint8Array.from(chunk));
    expect(digestOf(new Uint8Array(Buffer.concat(chunks)))).toBe(layer.digest);
  });
});

describe("createLayerCache() bound", () => {
  test("removes what was used longest ago, never what is held, and is full when all is held", async () => {
    const layers = await Promise.all([1, 2, 3, 4].map((seed) => stored(seed)));
    const [one, two, three, four] = layers as [
      (typeof layers)[0],
      (typeof layers)[0],
      (typeof layers)[0],
      (typeof layers)[0],
    ];
    const cache = await open({ maxBytes: 300 });
    const held: HeldLayer[] = [];
    for (const layer of [one, two, three]) {
      held.push(await cache.hold("a", layer, call));
      await clock.advance(1000);
    }
    await expect(cache.hold("a", four, call)).rejects.toMatchObject({ name: "SnapshotFault", code: "full" });
    expect(cache.usage()).toMatchObject({ bytes: 300, promisedBytes: 0 });
    held[1]?.release();
    await clock.advance(1000);
    held[0]?.release();
    held[0]?.release();
    await cache.hold("b", four, call);
    await expect(stat(held[1]?.path ?? "")).rejects.toMatchObject({ code: "ENOENT" });
    for (const index of [0, 2]) expect((await stat(held[index]?.path ?? "")).size).toBe(100);
    expect(cache.usage().bytes).toBe(300);
    await expect(cache.hold("a", await stored(5, 301), call)).rejects.toMatchObject({ code: "full" });
    expect(cache.usage().bytes).toBe(300);
  });

  test("leaves the disk its reserve", async () => {
    const layer = await stored(1);
    const cache = await open({ reserveBytes: Number.MAX_SAFE_INTEGER / 2 });
    await expect(cache.hold("a", layer, call)).rejects.toMatchObject({ code: "full" });
  });

  test("many at once stay within the bound", async () => {
    const layers = await Promise.all(Array.from({ length: 12 }, (_, seed) => stored(seed)));
    let mostBytes = 0;
    const cache: LayerCache = await open({ maxBytes: 350 }, async () => {
      mostBytes = Math.max(mostBytes, cache.usage().bytes + cache.usage().promisedBytes);
    });
    const outcomes = await Promise.allSettled(
      layers.map(async (layer) => {
        const held = await cache.hold("a", layer, call);
        expect(digestOf(await readFile(held.path))).toBe(layer.digest);
        held.release();
      }),
    );
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "full" });
    expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBeGreaterThanOrEqual(3);
    // A layer that has just come counts twice for a moment: as what is there and as what was promised.
    expect(mostBytes).toBeLessThanOrEqual(350 + 300);
    expect(cache.usage().bytes).toBeLessThanOrEqual(350);
    expect(cache.usage().promisedBytes).toBe(0);
  });
});

describe("createLayerCache() after a restart", () => {
  test("knows what is whole, in the order of its use, and removes what is not", async () => {
    const [one, two, three] = [await stored(1), await stored(2), await stored(3)];
    const before = await open();
    const held: HeldLayer[] = [];
    for (const layer of [one, two, three]) {
      held.push(await before.hold("a", layer, call));
      await clock.advance(61_000);
    }
    held[0]?.release();
    await truncate(held[2]?.path ?? "", 99);
    const { folder } = layerPaths(dir, "a", one.digest.slice(7));
    await writeFile(join(folder, "f".repeat(64)), "no size");
    await mkdir(join(dir, "not ours"));
    await clock.settle();
    await expect
      .poll(async () => (await stat(held[0]?.path ?? "")).mtimeMs)
      .toBeGreaterThan((await stat(held[1]?.path ?? "")).mtimeMs);
    const after = await open();
    expect(after.usage().bytes).toBe(200);
    expect((await readdir(folder)).filter((name) => !name.includes("."))).toHaveLength(2);
    expect(await readdir(dir)).toContain("not ours");
    const smaller = await open({ maxBytes: 100 });
    expect(smaller.usage().bytes).toBe(100);
    expect((await stat(held[0]?.path ?? "")).size).toBe(100);
  });

  test("recheck() removes what is not as its digest says any more", async () => {
    const [one, two] = [await stored(1), await stored(2)];
    const cache = await open();
    const held = await cache.hold("a", one, call);
    await cache.hold("a", two, call);
    await writeFile(held.path, bytesOf(9));
    expect([await cache.recheck("a", one, call), await cache.recheck("a", two, call)]).toEqual([false, true]);
    expect(await cache.recheck("a", one, call)).toBe(false);
    expect(digestOf(await readFile((await cache.hold("a", one, call)).path))).toBe(one.digest);
  });
});
