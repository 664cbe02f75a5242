import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffMs } from "./backoff.ts";

describe("backoffMs()", () => {
  it("grows by its factor up to a most, and loses at most half by chance", () => {
    const pauses = [0, 1, 2, 3, 1000].map((attempt) => backoffMs(attempt, { firstMs: 10, mostMs: 50 }, () => 0));
    expect(pauses).toEqual([10, 20, 40, 50, 50]);
    const unit = fc.double({ min: 0, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(fc.nat(10_000), unit, (attempt, chance) => {
        const fullMs = backoffMs(attempt, { firstMs: 10, mostMs: 5000, factor: 3 }, () => 0);
        const ms = backoffMs(attempt, { firstMs: 10, mostMs: 5000, factor: 3 }, () => chance);
        expect(ms).toBeGreaterThan(fullMs / 2);
        expect(ms).toBeLessThanOrEqual(Math.min(fullMs, 5000));
      }),
    );
  });
});
