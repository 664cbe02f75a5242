import { describe, expect, test } from "vitest";
import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { silentLog } from "#core/log.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { createManualClock, type ManualClock } from "../../../../../test/harness/manual-clock.ts";
import { MounterError, type Mounter } from "../mounter.ts";
import { LocalSnapshots, type LocalSnapshotsDeps } from "./local-snapshots.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";

const call = { signal: new AbortController().signal, log: silentLog };
const digest = `sha256:${"0".repeat(64)}`;
const spec = { sandboxId: "box", snapshotName: "work", timeoutSeconds: 300, ttlSecondsAfterFinished: 60 };
const request = { id: "r1", spec, requestDigest: "d" };
const unavailable = new MounterError({ code: "unavailable", reason: "StoreFailed", message: "No answer." });
const unsure = new MounterError({ code: "unsure", reason: "StoreFailed", message: "It is not known." });

/** What outlives the gateway: disk, store, time. */
interface World {
  readonly clock: ManualClock;
  readonly records: Map<string, string>;
  readonly store: Map<string, SnapshotManifest>;
  writes: number;
  /** What the store says instead of taking anything. */
  trouble?: string;
  readonly mostRecords?: number;
  /** How long a look for losses could have taken. */
  readonly looksMs: number[];
  /** Passed before each thing that the gateway does outside of itself; one that never ends is the gateway's end. */
  step: (what: string) => Promise<void>;
}

function createWorld(): World {
  const step = async (): Promise<void> => undefined;
  return { clock: createManualClock(), records: new Map(), store: new Map(), writes: 0, looksMs: [], step };
}

/** The gateway's part, on what an earlier one left. */
async function start(world: World): Promise<LocalSnapshots> {
  const { snapshots, takeUp } = await load(world);
  takeUp();
  return snapshots;
}

async function load(world: World): Promise<{ readonly snapshots: LocalSnapshots; readonly takeUp: () => void }> {
  const { clock, records, store } = world;
  const mounter: Pick<Mounter, "write" | "find" | "remove"> = {
    async find({ name }, { signal }) {
      await world.step("find");
      signal.throwIfAborted();
      const manifest = store.get(name);
      return manifest === undefined ? { kind: "absent" } : { kind: "manifest", manifest };
    },
    async write({ facts, warnings }, { signal, beforePublish, onProgress }) {
      const { trouble: message } = world;
      onProgress({ phase: "Uploading", ...(message === undefined ? { bytesDone: 1 } : { bytesDone: 0, message }) });
      await world.step("upload");
      signal.throwIfAborted();
      await beforePublish();
      await world.step("send");
      const layer = { key: `${facts.name}.x`, digest, bytes: 7, tarDigest: digest, tarBytes: 9, entries: 1 };
      const runtime = { name: "runsc" as const, version: "v" };
      const manifest: SnapshotManifest = { ...facts, formatVersion: 1, runtime, layers: [layer], warnings };
      store.set(facts.name, manifest);
      world.writes += 1;
      await world.step("answer");
      return { kind: "published", key: `${facts.name}.json`, manifest };
    },
    async remove({ name, writeId }) {
      await world.step("remove");
      if (store.get(name)?.writeId === writeId) store.delete(name);
    },
  };
  let ids = records.size;
  const deps: LocalSnapshotsDeps = {
    machine: {
      async checkpoint() {
        await world.step("save");
        return {
          dir: "/c",
          name: "000",
          bytes: 1,
          base: digest,
          tarDigests: [],
          durationMs: 1,
          remove: async () => {},
        };
      },
      async losses(_, container, { timeoutMs }) {
        world.looksMs.push(timeoutMs);
        await world.step("look");
        return [{ code: "SocketsLeftOut", message: "Sockets.", count: 1, examples: [`/${container}`] }];
      },
    },
    mounter,
    clock,
    log: silentLog,
    random: () => 0,
    namespace: "team",
    mostTarBytes: 1000,
    ids: { sandboxId: () => `w${(ids += 1)}-${clock.now()}`, commandId: () => "", bytes: () => new Uint8Array() },
    isHeld: () => false,
    ...(world.mostRecords === undefined ? {} : { mostRecords: world.mostRecords }),
    sourceOf: () => {
      const boot = { id: "b", shape: {}, held: [], containers: ["main"] };
      return { boot, containerName: "main", image: "debian", ground: { kind: "layers", layers: [] } };
    },
    records: {
      load: async () => [...records.values()].map((text) => JSON.parse(text) as SnapshotRecord),
      async save(record) {
        await world.step("record");
        records.set(record.id, JSON.stringify(record));
      },
      async remove(id) {
        await world.step("forget");
        records.delete(id);
      },
    },
  };
  const snapshots = new LocalSnapshots(deps);
  return { snapshots, takeUp: await snapshots.load() };
}

const stateOf = async (snapshots: LocalSnapshots) => {
  const { phase, reason } = await snapshots.get("r1");
  return reason === undefined ? phase : `${phase} ${reason}`;
};

/** Ends the gateway at the step of this number, and answers whether it came so far. */
async function runUntilKilled(world: World, last: number): Promise<boolean> {
  let steps = 0;
  let isDead = false;
  world.step = () => {
    if ((steps += 1) < last && !isDead) return Promise.resolve();
    isDead = true;
    return new Promise(() => undefined);
  };
  void start(world).then(async (snapshots) => {
    if (world.records.size === 0) await snapshots.create(request, call);
  });
  await world.clock.settle();
  await world.clock.advance(20_000);
  world.step = async () => undefined;
  return isDead;
}

describe("LocalSnapshots", () => {
  test("a gateway killed at any step, and once more at any, leaves a record that ends as the store says", async () => {
    let kills = 0;
    for (let first = 2; ; first += 1) {
      let wasKilled = false;
      for (let second = 1; second < 12; second += 1) {
        const world = createWorld();
        wasKilled = await runUntilKilled(world, first);
        if (!wasKilled) break;
        kills += (await runUntilKilled(world, second)) ? 1 : 0;
        const snapshots = await start(world);
        await world.clock.settle();
        expect([first, second, await stateOf(snapshots)]).toEqual([first, second, "Succeeded"]);
        const { result } = await snapshots.get("r1");
        expect(world.store.get("work")?.writeId).toBe(result?.writeId);
        expect(result).toMatchObject({ bytes: 7, containerName: "main", warnings: [{ examples: ["/main"] }] });
        await snapshots.remove("r1", call);
        expect([world.store.size, world.records.size]).toEqual([0, 0]);
      }
      if (!wasKilled) break;
    }
    // The test is worth nothing when nothing was killed twice.
    expect(kills).toBeGreaterThan(20);
  });

  test("who looks for losses has some of the time that is left, and no more", async () => {
    const world = createWorld();
    const snapshots = await start(world);
    for (const [id, timeoutSeconds] of [
      ["short", 20],
      ["long", 600],
    ] as const) {
      await snapshots.create({ id, requestDigest: id, spec: { ...spec, timeoutSeconds } }, call);
      await world.clock.settle();
    }
    expect(world.looksMs).toEqual([5_000, 30_000]);
  });

  test("what stands is a success although its time was over while nobody looked", async () => {
    const world = createWorld();
    world.step = (what) => (what === "answer" ? new Promise(() => undefined) : Promise.resolve());
    await (await start(world)).create(request, call);
    await world.clock.settle();
    await world.clock.advance(200_000);
    world.step = async (what) => {
      if (what === "find" && world.clock.now() < 1_700_000_230_000) throw unavailable;
    };
    const snapshots = await start(world);
    await world.clock.advance(10_000);
    expect(await stateOf(snapshots)).toBe("Running");
    await world.clock.advance(60_000);
    expect([await stateOf(snapshots), world.writes]).toEqual(["Succeeded", 1]);
  });

  test("what may still arrive is waited for before it is said that time is over", async () => {
    const world = createWorld();
    world.step = (what) => (what === "send" ? new Promise(() => undefined) : Promise.resolve());
    await (await start(world)).create({ ...request, spec: { ...spec, timeoutSeconds: 1 } }, call);
    await world.clock.settle();
    await world.clock.advance(2_000);
    world.step = async () => undefined;
    const snapshots = await start(world);
    await world.clock.advance(50_000);
    expect(await stateOf(snapshots)).toBe("Running");
    await world.clock.advance(90_000);
    expect([await stateOf(snapshots), world.writes]).toEqual(["Failed DeadlineExceeded", 0]);
  });

  test.each([
    ["stands", true, "Succeeded"],
    ["does not stand", false, "Failed StoreFailed"],
  ])("a store that did not answer is asked again: the snapshot %s", async (_, arrives, expected) => {
    const world = createWorld();
    const lost = arrives ? "answer" : "send";
    world.step = async (what) => {
      if (what === lost) throw unsure;
    };
    const snapshots = await start(world);
    await snapshots.create({ ...request, spec: { ...spec, ttlSecondsAfterFinished: 600 } }, call);
    await world.clock.settle();
    if (!arrives) {
      expect(await stateOf(snapshots)).toBe("Running");
      await world.clock.advance(400_000);
    }
    expect(await stateOf(snapshots)).toBe(expected);
  });

  test("what the store did not take, and does not have, is written again while there is time", async () => {
    const world = createWorld();
    world.step = async (what) => {
      if (what === "send") throw unsure;
    };
    const snapshots = await start(world);
    await snapshots.create(request, call);
    await world.clock.settle();
    world.step = async () => undefined;
    await world.clock.advance(90_000);
    expect(await stateOf(snapshots)).toBe("Succeeded");
    expect(world.writes).toBe(1);
  });

  test("a store that is away is asked again as long as there is time, and then says why", async () => {
    const world = createWorld();
    let awayMs = world.clock.now() + 40_000;
    world.step = async (what) => {
      if (what === "upload" && world.clock.now() < awayMs) throw unavailable;
    };
    const snapshots = await start(world);
    await snapshots.create(request, call);
    await world.clock.advance(30_000);
    const meanwhile = await snapshots.get("r1");
    expect(meanwhile.phase).toBe("Running");
    expect(meanwhile.progress?.message).toMatch(/The store gives no answer.*: No answer\./);
    await world.clock.advance(25_000);
    expect(await stateOf(snapshots)).toBe("Succeeded");
    awayMs = Infinity;
    await snapshots.create({ ...request, id: "r2" }, call);
    await world.clock.advance(300_000);
    expect(await snapshots.get("r2")).toMatchObject({
      phase: "Failed",
      reason: "StoreFailed",
      message: "No answer.",
    });
  });

  test("a store that gave no answer until time was over is said to be why, as it was asked only once", async () => {
    const world = createWorld();
    world.trouble = "Cannot read work: refused.";
    world.step = (what) => (what === "upload" ? new Promise(() => undefined) : Promise.resolve());
    const snapshots = await start(world);
    await snapshots.create({ ...request, spec: { ...spec, timeoutSeconds: 10, ttlSecondsAfterFinished: 600 } }, call);
    await world.clock.advance(9_000);
    expect((await snapshots.get("r1")).progress?.message).toMatch(/gives no answer.*: Cannot read work: refused\./);
    await world.clock.advance(2_000);
    expect(await snapshots.get("r1")).toMatchObject({
      phase: "Failed",
      reason: "StoreFailed",
      message: expect.stringContaining("Cannot read work: refused.") as string,
    });
  });

  test("no clock ends one whose manifest is being sent", async () => {
    const world = createWorld();
    let answer = (): void => undefined;
    world.step = (what) => (what === "send" ? new Promise((resolve) => (answer = resolve)) : Promise.resolve());
    const snapshots = await start(world);
    await snapshots.create(request, call);
    await world.clock.settle();
    await world.clock.advance(150_000);
    expect(await stateOf(snapshots)).toBe("Running");
    answer();
    await world.clock.settle();
    expect(await stateOf(snapshots)).toBe("Succeeded");
  });

  test("hundreds of one name are taken in the order in which they were asked for", async () => {
    const world = createWorld();
    const snapshots = await start(world);
    const ids = Array.from({ length: 800 }, (_, index) => `r${index}`);
    await Promise.all(ids.map((id) => snapshots.create({ ...request, id }, call)));
    await world.clock.settle();
    const { items } = await snapshots.list({});
    expect(items.map(({ id, phase }) => `${id} ${phase}`)).toEqual(ids.map((id) => `${id} Succeeded`));
    expect(world.store.get("work")?.writeId).toBe(items.at(-1)?.result?.writeId);
    expect(world.writes).toBe(ids.length);
  });

  test("records that fill the machine let no other begin, save those of sandboxes that end", async () => {
    const world = { ...createWorld(), mostRecords: 2 };
    const snapshots = await start(world);
    world.step = (what) => (what === "look" ? new Promise(() => undefined) : Promise.resolve());
    for (const id of ["r0", "r1"]) await snapshots.create({ ...request, id }, call);
    const refused = snapshots.create({ ...request, id: "one-more" }, call);
    await expect(refused).rejects.toMatchObject({
      slug: "capacity-exhausted",
      message: expect.stringContaining("ttlSecondsAfterFinished") as string,
    });
    expect(await snapshots.create({ ...request, id: "r0" }, call)).toMatchObject({ id: "r0" });
    snapshots.takeLast({ ...request, id: "box-termination" }, call).catch(() => undefined);
    await world.clock.settle();
    expect(await snapshots.get("box-termination")).toMatchObject({ id: "box-termination" });
  });

  test("who waits for others is woken by their ends, not by how far they are, nor when records go", async () => {
    const world = createWorld();
    let answer = (): void => undefined;
    world.step = (what) => (what === "send" ? new Promise((resolve) => (answer = resolve)) : Promise.resolve());
    const snapshots = await start(world);
    let woken = 0;
    const { signal } = call;
    const listen = async (): Promise<void> => {
      for (;;) {
        await snapshots.change.wait(signal);
        woken += 1;
      }
    };
    void listen();
    await snapshots.create(request, call);
    await world.clock.settle();
    expect([await stateOf(snapshots), woken]).toEqual(["Running", 0]);
    answer();
    await world.clock.settle();
    expect([await stateOf(snapshots), woken]).toEqual(["Succeeded", 1]);
    await world.clock.advance(60_000);
    expect([(await snapshots.list({})).items, woken]).toEqual([[], 1]);
  });

  test("one that is removed while it is being sent takes what it wrote along", async () => {
    const world = createWorld();
    let answer = (): void => undefined;
    world.step = (what) => (what === "send" ? new Promise((resolve) => (answer = resolve)) : Promise.resolve());
    const snapshots = await start(world);
    await snapshots.create(request, call);
    await world.clock.settle();
    const removal = snapshots.remove("r1", call);
    await world.clock.settle();
    expect(await stateOf(snapshots)).toBe("Running");
    answer();
    await removal;
    expect([world.writes, world.store.size, world.records.size]).toEqual([1, 0, 0]);
  });

  test("a removal goes on while the store is away, over a restart too", async () => {
    const world = createWorld();
    const first = await start(world);
    await first.create(request, call);
    await world.clock.settle();
    world.step = async (what) => {
      if (what === "remove") throw unavailable;
    };
    const refused = first.remove("r1", call).catch((error: unknown) => error);
    await world.clock.advance(11_000);
    expect(await refused).toMatchObject({ slug: "unavailable" });
    await first.close();
    const second = await start(world);
    await world.clock.advance(11_000);
    expect([world.store.size, world.records.size]).toEqual([1, 1]);
    world.step = async () => undefined;
    await world.clock.advance(11_000);
    expect([world.store.size, world.records.size]).toEqual([0, 0]);
    await expect(second.get("r1")).rejects.toMatchObject({ slug: "snapshot-not-found" });
  });

  test.each([
    ["arrives", true, "Succeeded"],
    ["never arrives", false, "Failed DumpFailed"],
  ])(
    "what an earlier process sent is waited for where it cannot be begun anew: it %s",
    async (_, arrives, expected) => {
      const world = createWorld();
      world.step = (what) => (what === "send" ? new Promise(() => undefined) : Promise.resolve());
      await (await start(world)).create({ ...request, spec: { ...spec, ttlSecondsAfterFinished: 600 } }, call);
      await world.clock.settle();
      const { writeId } = JSON.parse(world.records.get("r1") ?? "{}") as SnapshotRecord;
      world.step = async (what) => {
        if (what === "save") throw new Error("The sandbox is gone");
      };
      const snapshots = await start(world);
      await world.clock.advance(10_000);
      expect(await stateOf(snapshots)).toBe("Running");
      const layer = { key: "work.x", digest, bytes: 7, tarDigest: digest, tarBytes: 9, entries: 1 };
      const late = { writeId, containerName: "main", layers: [layer], base: { image: "debian" }, warnings: [] };
      if (arrives) world.store.set("work", late as unknown as SnapshotManifest);
      await world.clock.advance(80_000);
      expect(await stateOf(snapshots)).toBe(expected);
    },
  );

  test("a disk that takes no record fails the snapshot, is told at once, and is tried again", async () => {
    const world = createWorld();
    const snapshots = await start(world);
    const full = Object.assign(new Error("no space left"), { code: "ENOSPC" });
    let records = 0;
    world.step = async (what) => {
      if (what === "record" && (records += 1) > 1) throw full;
    };
    await snapshots.create(request, call);
    await world.clock.settle();
    expect(await snapshots.get("r1")).toMatchObject({ phase: "Failed", reason: "DiskFull" });
    const again = await start(world);
    await world.clock.settle();
    expect(await again.get("r1")).toMatchObject({ phase: "Failed", reason: "DiskFull" });
    world.step = async () => undefined;
    await world.clock.advance(2_000);
    // Now the disk knows, too: a later process does not begin it anew.
    const later = await start(world);
    await world.clock.settle();
    expect(await later.get("r1")).toMatchObject({ phase: "Failed", reason: "DiskFull" });
    expect(world.writes).toBe(0);
  });

  test("a removal that the disk did not let begin begins when it is asked for again", async () => {
    const world = createWorld();
    world.step = async (what) => {
      if (what === "upload") await new Promise(() => undefined);
    };
    const snapshots = await start(world);
    await snapshots.create(request, call);
    await world.clock.settle();
    world.step = async () => {
      throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
    };
    await expect(snapshots.remove("r1", call)).rejects.toMatchObject({ slug: "disk-full" });
    expect(await stateOf(snapshots)).toBe("Running");
    world.step = async () => undefined;
    void snapshots.remove("r1", call);
    await world.clock.settle();
    expect(JSON.parse(world.records.get("r1") ?? "{}")).toHaveProperty("removeRequestedAtMs");
  });

  test("a record goes when its time to live is over, and what it wrote stays", async () => {
    const world = createWorld();
    const snapshots = await start(world);
    await snapshots.create(request, call);
    await world.clock.settle();
    expect(isFinished((await snapshots.get("r1")).phase)).toBe(true);
    await world.clock.advance(60_000);
    expect([world.store.size, world.records.size]).toEqual([1, 0]);
  });

  test("the snapshot at an end that an earlier gateway began is the same one, however early it is asked for", async () => {
    const world = createWorld();
    world.step = (what) => (what === "upload" ? new Promise(() => undefined) : Promise.resolve());
    await (await start(world)).create(request, call);
    await world.clock.settle();
    world.step = async () => undefined;
    const { snapshots, takeUp } = await load(world);
    const last = snapshots.takeLast(request, call);
    await world.clock.settle();
    expect(world.writes).toBe(0);
    takeUp();
    expect((await last).phase).toBe("Succeeded");
    expect([world.writes, world.records.size]).toEqual([1, 1]);
  });

  test("the snapshot at an end replaces the record of another sandbox of that id", async () => {
    const world = createWorld();
    const snapshots = await start(world);
    await snapshots.takeLast(request, call);
    const before = world.store.get("work")?.writeId;
    await world.clock.advance(1000);
    const { phase, result } = await snapshots.takeLast({ ...request, requestDigest: "another" }, call);
    expect(phase).toBe("Succeeded");
    expect(world.store.get("work")?.writeId).toBe(result?.writeId);
    expect(before).not.toBe(result?.writeId);
  });
});
