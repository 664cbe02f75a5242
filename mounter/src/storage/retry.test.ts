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

  test("says what keeps it from going on: each fault that is met, and a long silence, once an attempt", async () => {
    const { clock, ports } = setup();
    const said: string[] = [];
    const onTrouble = ({ message }: StoreError): void => void said.push(`${clock.now() - startMs} ${message}`);
    const startMs = clock.now();
    const work = (_: AbortSignal, number: number): Promise<number> => {
      if (number === 0) throw new StoreError("unavailable", "Refused.");
      return number === 1 ? new Promise<never>(() => undefined) : Promise.resolve(number);
    };
    expect(await clock.runUntil(withRetries(ports, { what: "Cannot x", signal, onTrouble }, work))).toBe(2);
    const { firstPauseMs, attemptMs } = PATIENCE;
    expect(said).toEqual([
      "0 Refused.",
      `${firstPauseMs + 3000} Cannot x: no answer within 3 s.`,
      `${firstPauseMs + attemptMs} Cannot x: no answer within 60 s.`,
    ]);
  });

  test("says nothing of an attempt that gets its answer, or that its bytes keep", async () => {
    const { clock, ports } = setup();
    const said: unknown[] = [];
    const attempt = { what: "Cannot x", signal, onTrouble: (error: StoreError) => void said.push(error) };
    const after = (ms: number) => () => clock.sleep(ms);
    await clock.runUntil(withRetries(ports, attempt, after(2900)));
    const sizeBytes = PATIENCE.leastBytesPerSecond * 100;
    await clock.runUntil(withRetries(ports, { ...attempt, sizeBytes }, after(102_900)));
    await clock.advance(600_000);
    const refuse = async (): Promise<never> => Promise.reject(new StoreError("denied", "No."));
    await expect(withRetries(ports, attempt, refuse)).rejects.toThrow("No.");
    expect(said).toEqual([]);
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
