import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideSnapshot, expiryOf, MIN_RECORD_MS, snapshotOutcomeOf, type SnapshotFacts } from "./decide-snapshot.ts";

const spec = { timeoutSeconds: 300, ttlSecondsAfterFinished: 60 };
const fresh: SnapshotFacts = { spec, createdAtMs: 1000 };
const failure = { reason: "StoreFailed", message: "The store said no." } as const;

describe("decideSnapshot", () => {
  it.each<[string, Partial<SnapshotFacts>, number, object]>([
    ["is Pending until taking it begins", {}, 1000, { phase: "Pending", nextDeadlineMs: 301_000 }],
    [
      "says whom it waits for",
      { behind: "other" },
      1000,
      { phase: "Pending", reason: "WaitingForTurn", message: expect.stringContaining('"other"') },
    ],
    ["is Running then", { startedAtMs: 1500 }, 2000, { phase: "Running", nextDeadlineMs: 301_000 }],
    [
      "is Succeeded when it is written, until the record expires",
      { startedAtMs: 1500, isWritten: true },
      2000,
      { phase: "Succeeded", nextDeadlineMs: 62_000 },
    ],
    ["is Failed by a fault", { failure }, 2000, { phase: "Failed", ...failure, nextDeadlineMs: 62_000 }],
    [
      "is Failed when its time is over, counted from its creation",
      { startedAtMs: 200_000 },
      301_000,
      { phase: "Failed", reason: "DeadlineExceeded", message: expect.stringContaining("300 s") },
    ],
    [
      "says whom it waited for in vain",
      { behind: "other" },
      301_000,
      { phase: "Failed", reason: "DeadlineExceeded", message: expect.stringContaining('"other"') },
    ],
    [
      "says how far it had come",
      { startedAtMs: 1500, progress: { phase: "Uploading", bytesDone: 5 } },
      301_000,
      { phase: "Failed", reason: "DeadlineExceeded", message: expect.stringContaining("as far as Uploading") },
    ],
    [
      "says what the store said last",
      { startedAtMs: 1500, progress: { phase: "Uploading", bytesDone: 0, message: "The store gives no answer." } },
      301_000,
      {
        phase: "Failed",
        reason: "StoreFailed",
        message: expect.stringMatching(/300 s .*The store gives no answer\.$/),
      },
    ],
    [
      "knows no clock while the manifest may be on its way",
      { startedAtMs: 1500, isPublishing: true },
      400_000,
      { phase: "Running" },
    ],
    ["prefers what is written to the clock", { isWritten: true }, 400_000, { phase: "Succeeded" }],
    ["prefers what is written to a fault", { isWritten: true, failure }, 2000, { phase: "Succeeded" }],
    ["prefers a fault to the clock", { failure }, 400_000, { phase: "Failed", reason: "StoreFailed" }],
  ])("%s", (_, facts, nowMs, expected) => {
    expect(decideSnapshot({ ...fresh, ...facts }, nowMs)).toMatchObject(expected);
  });

  it("removes a finished record when its time to live is over, and not before", () => {
    const finished: SnapshotFacts = { ...fresh, outcome: { phase: "Succeeded", atMs: 5000 } };
    expect(decideSnapshot(finished, 64_999)).toEqual({ phase: "Succeeded", nextDeadlineMs: 65_000 });
    expect(decideSnapshot(finished, 65_000)).toEqual({ phase: "Succeeded", remove: true });
  });

  it("keeps a record without a time to live long enough to be seen", () => {
    expect(expiryOf({ ttlSecondsAfterFinished: 0 }, 5000)).toBe(5000 + MIN_RECORD_MS);
    expect(expiryOf({ ttlSecondsAfterFinished: 60 }, 5000)).toBe(65_000);
  });

  it("never changes an end, names the next moment as long as there is one, and is removed at last", () => {
    const facts = fc.record(
      { startedAtMs: fc.nat(1e6), isWritten: fc.boolean(), failure: fc.constant(failure), behind: fc.constant("x") },
      { requiredKeys: [] },
    );
    const moments = fc.array(fc.nat(1e6), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(facts), moments, (steps, times) => {
        const known = { ...fresh };
        let end: string | undefined;
        times.sort((a, b) => a - b);
        for (const [i, nowMs] of times.entries()) {
          Object.assign(known, steps[i]);
          const decision = decideSnapshot(known, nowMs);
          const outcome = known.outcome ?? snapshotOutcomeOf(decision, nowMs);
          if (end !== undefined) expect(`${decision.phase} ${decision.reason}`).toBe(end);
          if (outcome !== undefined) {
            Object.assign(known, { outcome });
            end = `${decision.phase} ${decision.reason}`;
          }
          if (decision.remove !== true) expect(decision.nextDeadlineMs).toBeGreaterThan(nowMs);
        }
        const ended = snapshotOutcomeOf(decideSnapshot(known, 1e9), 1e9);
        expect(decideSnapshot({ ...known, outcome: ended! }, 2e9).remove).toBe(true);
      }),
    );
  });
});
