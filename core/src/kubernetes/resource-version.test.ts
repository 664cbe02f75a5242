import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareResourceVersions, isNewerVersion } from "./resource-version.ts";

const version = fc.oneof(fc.bigInt({ min: 0n, max: 30n }), fc.bigInt({ min: 0n, max: 2n ** 80n }));

describe("compareResourceVersions()", () => {
  it("orders as numbers of any size", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        const order = compareResourceVersions(String(a), String(b)) ?? Number.NaN;
        expect(Math.sign(order)).toBe(a === b ? 0 : a < b ? -1 : 1);
      }),
    );
  });

  it.each([undefined, "", "v1", "1.5", "-1", "01", "0x10", "1 "])("guesses nothing about %j", (other) => {
    expect(compareResourceVersions(other, "1")).toBeUndefined();
    expect(compareResourceVersions("1", other)).toBeUndefined();
  });
});

describe("isNewerVersion()", () => {
  it("takes anything for newer than nothing, and nothing for newer than what cannot be compared", () => {
    expect(isNewerVersion("1", undefined)).toBe(true);
    expect(isNewerVersion("2", "1")).toBe(true);
    expect(isNewerVersion("1", "1")).toBe(false);
    expect(isNewerVersion("2", "v1")).toBe(false);
  });
});
