import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { doneBytes, layerParts, notesHead, parseNotes, partLine } from "./layer-parts.ts";

describe("layerParts()", () => {
  test("covers every byte once, in order", () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 999 }), (bytes, partBytes) => {
        let end = 0;
        for (const { offset, sizeBytes } of layerParts(bytes, partBytes)) {
          expect([offset, sizeBytes > 0, sizeBytes <= partBytes]).toEqual([end, true, true]);
          end += sizeBytes;
        }
        expect(end).toBe(bytes);
      }),
    );
  });
});

describe("parseNotes()", () => {
  const whole = notesHead({ bytes: 1000, partBytes: 10 }) + [7, 12, 99].map(partLine).join("");

  test("reads what was noted, and of a cut note only whole lines", () => {
    expect(parseNotes(whole)).toEqual({ bytes: 1000, partBytes: 10, done: new Set([7, 12, 99]) });
    for (let cut = 0; cut < whole.length; cut += 1) {
      const done = parseNotes(whole.slice(0, cut))?.done ?? new Set();
      expect([7, 12, 99].slice(0, done.size)).toEqual([...done]);
    }
  });

  test("believes nothing else", () => {
    expect(parseNotes("")).toBeUndefined();
    expect(parseNotes("parts 10 0\n")).toBeUndefined();
    expect(parseNotes("parts 999999999999 1\n")).toBeUndefined();
    expect(parseNotes(`${whole}100\n-1\nx\n5\n`)?.done).toEqual(new Set([7, 12, 99, 5]));
  });

  test("says how many bytes there are", () => {
    const notes = parseNotes(`${notesHead({ bytes: 25, partBytes: 10 })}2\n0\n`);
    expect(notes === undefined ? 0 : doneBytes(notes)).toBe(15);
  });
});
