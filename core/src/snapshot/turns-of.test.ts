import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { turnOf } from "./turn-of.ts";
import { turnsOf } from "./turns-of.ts";

const spec = { sandboxId: "box", snapshotName: "kept", timeoutSeconds: 60, ttlSecondsAfterFinished: 60 };
const arbitrary = fc.uniqueArray(
  fc.record({
    id: fc.stringMatching(/^[a-z]{1,2}$/),
    createdAtMs: fc.integer({ min: 0, max: 5 }),
    phase: fc.constantFrom("Pending", "Running", "Succeeded", "Failed"),
  }),
  { selector: ({ id }) => id },
);

describe("turnsOf()", () => {
  it("says of each that waits what turnOf() says of it, and nothing of the others", () => {
    fc.assert(
      fc.property(arbitrary, (all) => {
        const records = all.map((record) => ({ ...record, spec }));
        const open = records.filter(({ phase }) => phase === "Pending" || phase === "Running");
        const expected = open.flatMap((record) => {
          const ahead = turnOf(record, records);
          return ahead === undefined ? [] : [[record.id, ahead] as const];
        });
        expect(turnsOf(records)).toEqual(new Map(expected));
      }),
    );
  });
});
