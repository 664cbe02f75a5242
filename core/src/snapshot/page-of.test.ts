import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PLACE_PATTERN, pageOf, type Placed } from "./page-of.ts";

const placed = fc.record({
  id: fc.stringMatching(/^[a-z0-9]([-.a-z0-9]{0,5}[a-z0-9])?$/),
  createdAtMs: fc.nat(5),
});
const lists = fc.uniqueArray(placed, { selector: ({ id }) => id });

function walk(all: readonly Placed[], limit: number, between: (seen: readonly Placed[]) => readonly Placed[]) {
  const seen: Placed[] = [];
  let left = all;
  let after: string | undefined;
  do {
    const page = pageOf(left, { limit, ...(after === undefined ? {} : { after }) });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    seen.push(...page.items);
    after = page.next;
    if (after !== undefined) expect(after).toMatch(PLACE_PATTERN);
    left = between(seen);
  } while (after !== undefined);
  return seen;
}

describe("pageOf", () => {
  it("gives everything once, in the order of creation, for any size of page", () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 4 }), (all, limit) => {
        expect(walk(all, limit, () => all)).toEqual(pageOf(all, {}).items);
        expect(pageOf(all, {}).items).toHaveLength(all.length);
      }),
    );
  });

  it("goes on where it was when the last one seen is gone", () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 4 }), (all, limit) => {
        const rest = (seen: readonly Placed[]): Placed[] => all.filter((one) => !seen.includes(one));
        expect(walk(all, limit, rest)).toEqual(pageOf(all, {}).items);
      }),
    );
  });

  it("refuses a place that is none", () => expect(() => pageOf([], { after: "x" })).toThrow(RangeError));
});
