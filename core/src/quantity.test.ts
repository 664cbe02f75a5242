import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalQuantity, formatQuantity, parseQuantity, quantityMilli, quantityUnits } from "./quantity.ts";

describe("canonicalQuantity", () => {
  it.each([
    ["1000m", "1"],
    ["1500m", "1500m"],
    ["1.5", "1500m"],
    ["0.1", "100m"],
    ["2", "2"],
    ["+2", "2"],
    [".5", "500m"],
    ["5.", "5"],
    ["1000", "1k"],
    ["1024", "1024"],
    ["1024Ki", "1Mi"],
    ["1.5Gi", "1536Mi"],
    ["512Mi", "512Mi"],
    ["1Ki", "1Ki"],
    ["0.5Ki", "512"],
    ["1.1Mi", "1153433600m"],
    ["1000Ki", "1000Ki"],
    ["1e3", "1e3"],
    ["1E3", "1e3"],
    ["1500e-3", "1500e-3"],
    ["12e0", "12"],
    ["1E", "1E"],
    ["1000000G", "1P"],
    ["0", "0"],
    ["0Gi", "0"],
    ["-1500m", "-1500m"],
    ["0.0000000001", "1n"],
    ["1.0000000001", "1000000001n"],
    ["1n", "1n"],
    ["1000u", "1m"],
    ["9223372036854775807", "9223372036854775807"],
    ["9223372036854775808", "9223372036854775807"],
    ["100E", "9223372036854775807"],
    ["16Ei", "9223372036854775807"],
    ["1e999999999999", "9223372036854775807"],
    ["0e999999999999", "0"],
    ["1e-999999999999", "1e-9"],
  ])("writes %s as %s", (text, expected) => {
    expect(canonicalQuantity(text)).toBe(expected);
  });

  it.each([
    "",
    ".",
    "-",
    "m",
    "1K",
    "1ki",
    "1 Gi",
    " 1",
    "1\n",
    "1,5",
    "0x10",
    "1e",
    "1e+",
    "1.2.3",
    "--1",
    "1mm",
    "NaN",
    "Infinity",
    "١",
  ])("refuses %j", (text) => {
    expect(canonicalQuantity(text)).toBeUndefined();
  });
});

describe("quantityMilli and quantityUnits", () => {
  it.each([
    ["250m", 250n, 1n],
    ["1.0001", 1001n, 2n],
    ["1Gi", 1_073_741_824_000n, 1_073_741_824n],
    ["-0.5", -500n, 0n],
  ])("round %s up", (text, milli, units) => {
    const quantity = parseQuantity(text)!;
    expect([quantityMilli(quantity), quantityUnits(quantity)]).toEqual([milli, units]);
  });
});

const suffix = fc.constantFrom(
  "",
  "n",
  "u",
  "m",
  "k",
  "M",
  "G",
  "T",
  "P",
  "E",
  "Ki",
  "Mi",
  "Gi",
  "Ti",
  "Pi",
  "Ei",
  "e3",
  "E-7",
  "e+12",
);
const quantityText = fc
  .tuple(fc.constantFrom("", "-", "+"), fc.bigInt({ min: 0n, max: 10n ** 12n }), fc.option(fc.nat(999_999)), suffix)
  .map(([sign, whole, fraction, unit]) => `${sign}${whole}${fraction === null ? "" : `.${fraction}`}${unit}`);

describe("quantities, for any text", () => {
  it("keep their amount through the canonical text", () => {
    fc.assert(
      fc.property(quantityText, (text) => {
        const quantity = parseQuantity(text)!;
        expect(parseQuantity(formatQuantity(quantity))?.nano).toBe(quantity.nano);
      }),
    );
  });

  it("have one canonical text, without a fraction", () => {
    fc.assert(
      fc.property(quantityText, (text) => {
        const canonical = canonicalQuantity(text)!;
        expect(canonicalQuantity(canonical)).toBe(canonical);
        expect(canonical).not.toContain(".");
      }),
    );
  });

  it("answer for any string, without throwing", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(..."0123456789.+-eEKMGTPimnuk ") }),
        (text) => void canonicalQuantity(text),
      ),
    );
  });
});
