import fc from "fast-check";
import { expect, test } from "vitest";
import { addBlock, hasBlock, splitBlock } from "./marked-block.ts";

test("splitBlock gives back what addBlock was given, byte for byte, also when more was appended", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "#", " ", "\n", "\r", "[", "é") });
  fc.assert(
    fc.property(text, fc.string({ minLength: 1, unit: fc.constantFrom("x", "\n") }), text, (before, lines, after) => {
      const added = addBlock(before, lines);
      expect(hasBlock(added)).toBe(true);
      expect(splitBlock(added)).toEqual({ rest: before, block: `${lines.replace(/\n*$/, "")}\n` });
      // The end of line that an appended text needs stays where the text before had none.
      const gap = before !== "" && !before.endsWith("\n") && after !== "" ? "\n" : "";
      expect(splitBlock(added + after).rest).toBe(before + gap + after);
    }),
  );
});

test("splitBlock refuses marks that do not pair", () => {
  const [begin = "", , end = ""] = addBlock("", "x").split("\n");
  for (const text of [begin, end, `${end}\n${begin}`, `${begin}\n${end}\n${end}`, `${begin}\n${end}\n${begin}\n${end}`])
    expect(() => splitBlock(text)).toThrow("do not make one pair");
});
