import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeCStrings, startsOf } from "./c-strings.ts";
import { overlayEnvironment, readVariable } from "./environment.ts";

function texts(strings: Uint8Array<ArrayBuffer>): string[] {
  return startsOf(strings).map((start) =>
    Buffer.from(strings.subarray(start, strings.indexOf(0, start))).toString("utf8"),
  );
}

describe("overlayEnvironment()", () => {
  test("replaces, adds, keeps and removes", () => {
    const block = encodeCStrings(["PATH=/bin", "A=1", "MARK=main", "B=x=y", "garbage", "=odd"]);
    expect(texts(overlayEnvironment(block, { A: "2", C: "", MARK: "again" }, ["MARK"]))).toEqual([
      "PATH=/bin",
      "B=x=y",
      "A=2",
      "C=",
    ]);
  });

  test("keeps bytes that are not UTF-8", () => {
    const block = new Uint8Array([0x41, 0x3d, 0xff, 0xfe, 0]);
    expect(overlayEnvironment(block, {}, [])).toEqual(block);
  });

  test("takes a block without its last zero", () => {
    expect(texts(overlayEnvironment(new TextEncoder().encode("A=1\0B=2"), {}, []))).toEqual(["A=1", "B=2"]);
  });

  test("gives each override once, whatever the block holds", () => {
    const key = fc.stringMatching(/^[A-Zé_]{1,3}$/);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, fc.string())),
        fc.dictionary(key, fc.stringMatching(/^[^\0]*$/)),
        (base, overrides) => {
          const block = encodeCStrings(base.map(([name, value]) => `${name}=${value.replaceAll("\0", "")}`));
          const result = overlayEnvironment(block, overrides, []);
          const lines = texts(result);
          for (const [name, value] of Object.entries(overrides)) {
            expect(lines.filter((line) => line.startsWith(`${name}=`))).toEqual([`${name}=${value}`.toWellFormed()]);
            expect(readVariable(result, name) ?? "").toBe(value.toWellFormed());
          }
        },
      ),
    );
  });
});
