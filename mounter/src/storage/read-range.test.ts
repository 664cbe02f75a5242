import { describe, expect, test } from "vitest";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import type { StoreDriver } from "./driver.ts";
import { readRange } from "./read-range.ts";
import { PATIENCE } from "./retry.ts";

const call = new AbortController().signal;
const OBJECT = { key: "a", version: "1" };

type Body = (offset: number, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** A reading of so many bytes from a store that answers with the given bodies, one for each attempt. */
function reading(sizeBytes: number, bodies: readonly Body[], version = "1") {
  const clock = createManualClock();
  const offsets: number[] = [];
  const open: StoreDriver["open"] = async (key, { offset }, signal) => {
    const body = bodies[offsets.length] ?? bodies.at(-1);
    offsets.push(offset);
    if (body === undefined) throw new RangeError("There is no body");
    return { object: { key, sizeBytes, version, modifiedAtMs: 0 }, body: body(offset, signal) };
  };
  const driver = { open } as StoreDriver;
  const ports = { clock, random: () => 0, patience: PATIENCE };
  const collect = async (): Promise<number> => {
    let got = 0;
    const range = { offset: 0, sizeBytes };
    for await (const chunk of readRange(range, { driver, ports, object: OBJECT, what: "Cannot read a", signal: call }))
      got += chunk.length;
    return got;
  };
  return { clock, offsets, done: clock.runUntil(collect()) };
}

async function* bytes(count: number): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(count);
}

async function* hangingAfter(count: number): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(count);
  await new Promise<never>(() => undefined);
}

describe("readRange()", () => {
  test("goes on where a stalled answer was left", async () => {
    const { done, offsets, clock } = reading(100, [() => hangingAfter(40), (offset) => bytes(100 - offset)]);
    const startMs = clock.now();
    expect(await done).toBe(100);
    expect(offsets).toEqual([0, 40]);
    expect(clock.now() - startMs).toBeGreaterThanOrEqual(PATIENCE.stallMs);
  });

  test("takes an answer that ends early for a cut, however it ends", async () => {
    const { done, offsets } = reading(100, [() => bytes(10), () => bytes(20), (offset) => bytes(100 - offset)]);
    expect(await done).toBe(100);
    expect(offsets).toEqual([0, 10, 30]);
  });

  test("gives up when a few bytes at a time are all that ever comes", async () => {
    const { done, offsets } = reading(1000, [() => bytes(1)]);
    await expect(done).rejects.toMatchObject({ kind: "unavailable" });
    expect(offsets).toHaveLength(PATIENCE.attempts);
  });

  test("has new attempts after each progress that counts", async () => {
    const { done, offsets } = reading(1 << 20, [() => bytes(1 << 16)]);
    expect(await done).toBe(1 << 20);
    expect(offsets).toHaveLength(16);
  });

  test("gives up on an answer that drips", async () => {
    const drip = (clock: () => Promise<void>): Body =>
      async function* () {
        for (;;) {
          await clock();
          yield new Uint8Array(1);
        }
      };
    let wait: () => Promise<void> = async () => undefined;
    const { done, clock, offsets } = reading(1000, [drip(() => wait())]);
    wait = () => clock.sleep(PATIENCE.stallMs / 2);
    await expect(done).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining("not there after"),
    });
    expect(offsets.length).toBeLessThanOrEqual(PATIENCE.attempts);
  });

  test("refuses more bytes than were asked for, and another version", async () => {
    await expect(reading(10, [() => bytes(11)]).done).rejects.toMatchObject({ kind: "unavailable" });
    await expect(reading(10, [() => bytes(10)], "2").done).rejects.toMatchObject({ kind: "changed" });
  });
});
