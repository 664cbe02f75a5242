import { describe, expect, test } from "vitest";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import { PATIENCE, withRetries } from "./retry.ts";
import { StoreError } from "./store-error.ts";

const { signal } = new AbortController();

function setup() {
  const clock = createManualClock();
  return { clock, ports: { clock, random: () => 0, patience: PATIENCE } };
}

describe("withRetries()", () => {
  test("ends an attempt that hangs, and begins another", async () => {
    const { clock, ports } = setup();
    const work = (_: AbortSignal, number: number): Promise<number> =>
      number < 2 ? new Promise<never>(() => undefined) : Promise.resolve(number);
    expect(await clock.runUntil(withRetries(ports, { what: "Cannot x", signal }, work))).toBe(2);
  });

  test("gives an attempt the time that its bytes need", async () => {
    const { clock, ports } = setup();
    const sizeBytes = PATIENCE.leastBytesPerSecond * 100;
    const work = async (): Promise<string> => {
      await clock.sleep(PATIENCE.attemptMs + 99_000);
      return "done";
    };
    expect(await clock.runUntil(withRetries(ports, { what: "Cannot x", signal, sizeBytes }, work))).toBe("done");
  });

  test.each(["absent", "denied", "changed", "full", "invalid"] as const)("does not repeat what is %s", async (kind) => {
    const { ports } = setup();
    let calls = 0;
    const work = async (): Promise<never> => {
      calls += 1;
      throw new StoreError(kind, "No.");
    };
    await expect(withRetries(ports, { what: "Cannot x", signal }, work)).rejects.toMatchObject({ kind });
    expect(calls).toBe(1);
  });

  test("waits as long as the store asks for, up to a most, and gives up after so many attempts", async () => {
    const { clock, ports } = setup();
    const startedAtMs: number[] = [];
    const work = async (): Promise<never> => {
      startedAtMs.push(clock.now());
      throw new StoreError("unavailable", "No.", { retryAfterMs: 3_600_000 });
    };
    const done = withRetries(ports, { what: "Cannot x", signal }, work);
    await expect(clock.runUntil(done)).rejects.toMatchObject({ kind: "unavailable" });
    expect(startedAtMs).toHaveLength(PATIENCE.attempts);
    expect((startedAtMs[1] ?? 0) - (startedAtMs[0] ?? 0)).toBeGreaterThanOrEqual(PATIENCE.mostPauseMs);
    expect(clock.now() - (startedAtMs[0] ?? 0)).toBeLessThanOrEqual(PATIENCE.attempts * 2 * PATIENCE.mostPauseMs);
  });

  test("ends with the caller's reason in the middle of a pause", async () => {
    const { clock, ports } = setup();
    const abort = new AbortController();
    const why = new Error("enough");
    const done = withRetries(ports, { what: "Cannot x", signal: abort.signal }, async () => {
      throw new StoreError("unavailable", "No.");
    });
    await clock.settle();
    abort.abort(why);
    await expect(done).rejects.toBe(why);
  });
});
