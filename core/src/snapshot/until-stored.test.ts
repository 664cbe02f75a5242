import { describe, expect, test } from "vitest";
import type { MounterFault } from "#api/mounter-channel.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import { silentLog } from "../log.ts";
import { untilStored, type StoringFault } from "./until-stored.ts";

class Fault extends Error implements StoringFault {
  readonly code: MounterFault["code"];

  constructor(code: MounterFault["code"]) {
    super(`The store is ${code}.`);
    this.code = code;
  }
}

function storing(
  work: (sinceMs: number, tell: (progress: SnapshotProgress) => void) => Promise<string>,
  timeoutMs: number,
) {
  const clock = createManualClock();
  const startMs = clock.now();
  const end = new AbortController();
  const told: SnapshotProgress[] = [];
  let attempts = 0;
  const attempt = (tell: (progress: SnapshotProgress) => void): Promise<string> => {
    attempts += 1;
    return work(clock.now() - startMs, tell);
  };
  const outcome = untilStored(attempt, {
    clock,
    random: () => 0.5,
    log: silentLog,
    deadlineMs: clock.now() + timeoutMs,
    signal: end.signal,
    faultOf: (error) => (error instanceof Fault ? error : undefined),
    onProgress: (progress) => told.push(progress),
  }).catch((error: unknown) => error);
  return { clock, end, told, outcome, attempts: () => attempts };
}

describe("untilStored", () => {
  test("tries again while the store gives no answer, and says so meanwhile", async () => {
    const world = storing(async (sinceMs) => {
      if (sinceMs < 40_000) throw new Fault("unavailable");
      return "stored";
    }, 300_000);
    await world.clock.advance(39_000);
    const soFar = world.attempts();
    expect(soFar).toBeGreaterThan(3);
    expect(world.told).toHaveLength(soFar);
    expect(world.told[0]?.message).toContain("The store is unavailable.");
    await world.clock.advance(20_000);
    expect(await world.outcome).toBe("stored");
    expect(world.attempts()).toBe(soFar + 1);
  });

  test("what it met is told until the store has taken something", async () => {
    const steps = [
      { phase: "Packing", bytesDone: 0 },
      { phase: "Uploading", bytesDone: 5 },
      { phase: "Verifying", bytesDone: 9 },
    ] as const;
    const world = storing(async (sinceMs, tell) => {
      for (const step of steps.slice(0, sinceMs === 0 ? 1 : 3)) tell(step);
      if (sinceMs === 0) throw new Fault("unavailable");
      return "stored";
    }, 300_000);
    await world.clock.advance(2000);
    expect(await world.outcome).toBe("stored");
    const message = expect.stringContaining("The store is unavailable.") as string;
    expect(world.told).toEqual([
      steps[0],
      { phase: "Uploading", bytesDone: 0, message },
      { ...steps[0], message },
      steps[1],
      steps[2],
    ]);
  });

  test("what the store says while it is asked is told as well, until it has taken something", async () => {
    const message = "The store is silent.";
    const world = storing(async (_, tell) => {
      tell({ phase: "Packing", bytesDone: 0 });
      tell({ phase: "Uploading", bytesDone: 0, message });
      tell({ phase: "Uploading", bytesDone: 0 });
      tell({ phase: "Uploading", bytesDone: 5 });
      tell({ phase: "Uploading", bytesDone: 5, message });
      tell({ phase: "Verifying", bytesDone: 5 });
      return "stored";
    }, 300_000);
    expect(await world.outcome).toBe("stored");
    const said = expect.stringMatching(/^The store gives no answer, .*: The store is silent\.$/) as string;
    expect(world.told.map((progress) => progress.message)).toEqual([undefined, said, said, undefined, said, undefined]);
  });

  test("what it last met is thrown before the record's time is over", async () => {
    const world = storing(async () => Promise.reject(new Fault("unsure")), 60_000);
    const startMs = world.clock.now();
    let endedMs = 0;
    void world.outcome.then(() => (endedMs = world.clock.now()));
    await world.clock.advance(60_000);
    expect(await world.outcome).toMatchObject({ code: "unsure" });
    expect(endedMs - startMs).toBeLessThanOrEqual(58_000);
    expect(endedMs - startMs).toBeGreaterThan(40_000);
  });

  test.each(["denied", "full", "damaged", "gone", "other"] as const)(
    "no time helps a fault that is %s",
    async (code) => {
      const world = storing(async () => Promise.reject(new Fault(code)), 300_000);
      expect(await world.outcome).toMatchObject({ code });
      expect([world.attempts(), world.told]).toEqual([1, []]);
    },
  );

  test("what is no fault of the store is thrown at once", async () => {
    const bug = new TypeError("x is not a function");
    const world = storing(async () => Promise.reject(bug), 300_000);
    expect(await world.outcome).toBe(bug);
    expect(world.attempts()).toBe(1);
  });

  test("nothing is waited for once it is not wanted any more", async () => {
    const world = storing(async () => Promise.reject(new Fault("unavailable")), 300_000);
    await world.clock.settle();
    const gone = new Error("Nobody wants it");
    world.end.abort(gone);
    expect(await world.outcome).toBe(gone);
    expect(world.attempts()).toBe(1);
  });
});
