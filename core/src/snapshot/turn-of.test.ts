import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Snapshot, SnapshotPhase } from "./snapshot.ts";
import { turnOf } from "./turn-of.ts";

type Seen = Pick<Snapshot, "id" | "spec" | "createdAtMs" | "phase">;

const record = (id: string, createdAtMs: number, phase: SnapshotPhase = "Pending", snapshotName = "n"): Seen => ({
  id,
  spec: { sandboxId: "s", snapshotName, timeoutSeconds: 1, ttlSecondsAfterFinished: 1 },
  createdAtMs,
  phase,
});

describe("turnOf", () => {
  it.each<[string, Seen[], string | undefined]>([
    ["waits for the one just before it", [record("a", 1, "Running"), record("b", 2)], "b"],
    ["waits for nobody who is finished", [record("a", 1, "Succeeded"), record("b", 2, "Failed")], undefined],
    ["waits for nobody who writes another name", [record("a", 1, "Running", "other")], undefined],
    ["does not wait for later ones or itself", [record("me", 3), record("z", 4, "Running")], undefined],
    ["decides by the id within a millisecond", [record("a", 3), record("z", 3)], "a"],
  ])("%s", (_, others, expected) => expect(turnOf(record("me", 3), others)).toBe(expected));

  it("is exactly one record's turn at any time", () => {
    const some = fc.uniqueArray(fc.record({ id: fc.stringMatching(/^[a-z]{1,3}$/), at: fc.nat(3) }), {
      selector: ({ id }) => id,
      minLength: 1,
    });
    fc.assert(
      fc.property(some, (list) => {
        const all = list.map(({ id, at }) => record(id, at));
        expect(all.filter((one) => turnOf(one, all) === undefined)).toHaveLength(1);
      }),
    );
  });
});
