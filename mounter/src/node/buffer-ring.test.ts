import { describe, expect, it } from "vitest";
import { createBufferRing } from "./buffer-ring.ts";

describe("createBufferRing()", () => {
  it("gives a buffer again only when all others have been given since", () => {
    const ring = createBufferRing(3, 4);
    const given = Array.from({ length: 7 }, () => ring.next());
    expect(new Set(given).size).toBe(3);
    for (const [index, buffer] of given.entries()) expect(buffer).toBe(given[index % 3]);
    expect(given.map(({ length }) => length)).toEqual(Array.from({ length: 7 }, () => 4));
  });
});
