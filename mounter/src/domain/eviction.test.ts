import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planEviction, usageOf } from "./eviction.ts";

const entries = fc.array(
  fc.record({ bytes: fc.nat(100), lastUsedAtMs: fc.nat(50), pins: fc.nat(1), isPartial: fc.boolean() }),
);

describe("planEviction()", () => {
  test("removes enough, nothing that is held, and nothing that was used later than what stays", () => {
    fc.assert(
      fc.property(entries, fc.nat(500), (all, neededBytes) => {
        const plan = planEviction(all, neededBytes);
        const free = all.filter(({ pins }) => pins === 0);
        const freeBytes = free.reduce((sum, { bytes }) => sum + bytes, 0);
        expect(plan === undefined).toBe(freeBytes < neededBytes);
        if (plan === undefined) return;
        expect(plan.every(({ pins }) => pins === 0)).toBe(true);
        const bytes = plan.map((entry) => entry.bytes);
        expect(bytes.reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(neededBytes);
        // Without the last one it would not be enough.
        if (plan.length > 0) expect(bytes.slice(0, -1).reduce((sum, one) => sum + one, 0)).toBeLessThan(neededBytes);
        const stays = free.filter((entry) => !plan.includes(entry));
        for (const gone of plan)
          for (const stay of stays)
            if (gone.isPartial === stay.isPartial) expect(gone.lastUsedAtMs).toBeLessThanOrEqual(stay.lastUsedAtMs);
            else expect(gone.isPartial).toBe(true);
      }),
    );
  });
});

describe("usageOf()", () => {
  test("counts each namespace by itself", () => {
    const layer = (namespace: string, bytes: number, pins = 0) => {
      return { namespace, bytes, pins, lastUsedAtMs: 0, isPartial: false };
    };
    expect(usageOf([layer("a", 1), layer("b", 2, 1), layer("a", 4, 2)])).toEqual(
      new Map([
        ["a", { layers: 2, bytes: 5, pinnedBytes: 4 }],
        ["b", { layers: 1, bytes: 2, pinnedBytes: 2 }],
      ]),
    );
  });
});
