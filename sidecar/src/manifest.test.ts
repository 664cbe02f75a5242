import { describe, expect, it } from "vitest";
import { siblingMarks } from "./manifest.ts";

describe("siblingMarks()", () => {
  it("gives sixteen containers sets of which none holds another", () => {
    const sets = Array.from({ length: 16 }, (_, index) => siblingMarks(index));
    const holders = sets.filter((one) =>
      sets.some((other) => other !== one && other.every((mark) => one.includes(mark))),
    );
    expect(holders).toEqual([]);
  });
});
