import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cidr, covers, formatCidr, includes, overlaps, parseCidr, type Cidr } from "#core/cidr.ts";

const range = fc
  .tuple(fc.bigInt({ min: 0n, max: 255n }), fc.integer({ min: 24, max: 32 }))
  .map(([low, prefix]): Cidr => cidr(`192.0.2.${low}/${prefix}`));

/** Every address of a small range, one by one. */
function members(of: Cidr): Set<bigint> {
  const all = Array.from({ length: 256 }, (_, low) => cidr("192.0.2.0/24").base + BigInt(low));
  return new Set(all.filter((value) => includes(of, { version: 4, value })));
}

describe("parseCidr()", () => {
  it.each([
    ["8.8.8.8/24", "8.8.8.0/24"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:db8::1/32", "2001:db8::/32"],
    ["::ffff:10.0.0.0/104", "::ffff:a00:0/104"],
  ])("reads %s as %s", (text, canonical) => {
    const parsed = parseCidr(text);
    expect(parsed && formatCidr(parsed)).toBe(canonical);
  });

  it.each([
    "",
    "8.8.8.8",
    "8.8.8.8/",
    "8.8.8.8/33",
    "8.8.8.8/+8",
    "8.8.8.8/08",
    "8.8.8/8",
    "::/129",
    "a/8",
    "8.8.8.8/8/8",
    "fe80::%eth0/64",
    " 8.8.8.8/8",
  ])("refuses %j", (text) => expect(parseCidr(text)).toBeUndefined());
});

describe("covers() and overlaps()", () => {
  it("agree with the members counted one by one", () => {
    fc.assert(
      fc.property(range, range, (a, b) => {
        const [inA, inB] = [members(a), members(b)];
        expect(covers(a, b)).toBe([...inB].every((value) => inA.has(value)));
        expect(overlaps(a, b)).toBe([...inB].some((value) => inA.has(value)));
      }),
      { numRuns: 300 },
    );
  });

  it("keep the versions apart", () => {
    expect(overlaps(cidr("0.0.0.0/0"), cidr("::/0"))).toBe(false);
  });
});
