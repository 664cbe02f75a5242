import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createSpareDisk } from "../../domain/spare-disk.ts";
import { createMergedTars, type TarRequest } from "./merged-tars.ts";

const never = { signal: new AbortController().signal };
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-tars-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function prepare(maxBytes: number, keptBytes = maxBytes, spare = createSpareDisk()) {
  const clock = createManualClock();
  const tars = await createMergedTars({ dir: join(dir, "tars"), maxBytes, keptBytes, reserveBytes: 0 }, clock, spare);
  let made = 0;
  const request = (name: string, bytes: number, gate: Promise<unknown> = Promise.resolve()): TarRequest => ({
    namespace: "team",
    id: name.repeat(64),
    bytes,
    make: async (path, { signal, onProgress }) => {
      made += 1;
      onProgress({ bytesDone: 1, bytesTotal: 2 });
      await gate;
      signal.throwIfAborted();
      await writeFile(path, new Uint8Array(bytes));
      return bytes;
    },
  });
  const files = async (): Promise<string[]> =>
    (await readdir(join(dir, "tars/team")).catch(() => [])).map((name) => name.slice(0, 1));
  return { clock, tars, request, files, made: () => made };
}

describe("createMergedTars()", () => {
  test("gives up for others what nobody holds, the longest unused first", async () => {
    const spare = createSpareDisk();
    const { clock, tars, request, files } = await prepare(100, 100, spare);
    for (const name of ["a", "b", "c"]) {
      const held = await tars.hold(request(name, 10), never);
      if (name !== "b") held.release();
      await clock.advance(1);
    }
    expect(spare.bytes).toBe(20);
    await spare.free(1);
    expect([await files(), spare.bytes, tars.bytes]).toEqual([["b", "c"], 10, 20]);
  });

  test("makes an archive once for all who ask, and tells each how far it is", async () => {
    const { tars, request, made } = await prepare(100);
    const gate = Promise.withResolvers<void>();
    const heard: number[] = [];
    const onProgress = ({ bytesDone }: { readonly bytesDone: number }): void => void heard.push(bytesDone);
    const holding = Array.from({ length: 10 }, () =>
      tars.hold(request("a", 10, gate.promise), { ...never, onProgress }),
    );
    await new Promise((resolve) => setImmediate(resolve));
    gate.resolve();
    const held = await Promise.all(holding);
    expect([made(), new Set(held.map(({ path }) => path)).size, heard.length, tars.bytes]).toEqual([1, 1, 10, 10]);
    await tars.hold(request("a", 10), never);
    expect(made()).toBe(1);
  });

  test("makes room by what nobody holds, the longest unused first; what cannot have room is refused", async () => {
    const { clock, tars, request, files } = await prepare(30);
    const held = [];
    for (const name of ["a", "b", "c"]) {
      held.push(await tars.hold(request(name, 10), never));
      await clock.advance(1);
    }
    await expect(tars.hold(request("d", 10), never)).rejects.toMatchObject({ code: "full" });
    expect(await files()).toEqual(["a", "b", "c"]);
    held[1]?.release();
    await clock.advance(1);
    held[0]?.release();
    await tars.hold(request("d", 10), never);
    expect(await files()).toEqual(["a", "c", "d"]);
    await expect(tars.hold(request("e", 31), never)).rejects.toMatchObject({ code: "full" });
  });

  test("keeps of what nobody holds no more than it may", async () => {
    const { clock, tars, request, files, made } = await prepare(100, 15);
    const held = [];
    for (const name of ["a", "b", "c"]) {
      held.push(await tars.hold(request(name, 10), never));
      await clock.advance(1);
    }
    for (const { release } of held) release();
    expect(tars.bytes).toBe(10);
    await tars.hold(request("a", 10), never);
    expect([made(), await files()]).toEqual([4, ["a", "c"]]);
  });

  test("sets room aside for what is being made", async () => {
    const { tars, request } = await prepare(30);
    const gate = Promise.withResolvers<void>();
    const first = tars.hold(request("a", 20, gate.promise), never);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(tars.hold(request("b", 20), never)).rejects.toMatchObject({ code: "full" });
    gate.resolve();
    await first;
  });

  test("two that come at once do not count on the same room", async () => {
    const { tars, request } = await prepare(10);
    (await tars.hold(request("a", 6), never)).release();
    const outcomes = await Promise.allSettled([tars.hold(request("b", 6), never), tars.hold(request("c", 6), never)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    expect(tars.bytes).toBe(6);
  });

  test("who leaves ends it for nobody else; what failed is forgotten and made anew", async () => {
    const { tars, request, files, made } = await prepare(100);
    const gate = Promise.withResolvers<void>();
    const leave = new AbortController();
    const [left, stays] = [
      tars.hold(request("a", 10, gate.promise), leave).catch((error: unknown) => error),
      tars.hold(request("a", 10, gate.promise), never),
    ];
    leave.abort(new Error("left"));
    expect(await left).toEqual(new Error("left"));
    gate.resolve();
    await stays;
    const broken = { ...request("b", 10), make: () => Promise.reject(new Error("broken")) };
    await expect(tars.hold(broken, never)).rejects.toThrow("broken");
    expect([tars.bytes, await files()]).toEqual([10, ["a"]]);
    await tars.hold(request("b", 10), never);
    expect(made()).toBe(2);
  });

  test("trusts nothing that a former life left", async () => {
    const { tars, request } = await prepare(100);
    await tars.hold(request("a", 10), never);
    const { files } = await prepare(100);
    expect(await files()).toEqual([]);
  });
});
