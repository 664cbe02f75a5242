import fc from "fast-check";
import { isIP } from "node:net";
import { describe, expect, it } from "vitest";
import { formatIp, parseIp } from "#core/ip.ts";

describe("parseIp()", () => {
  it("reads what Node's own parser reads and nothing else", () => {
    const pieces = fc.constantFrom(
      "0",
      "1",
      "255",
      "256",
      "01",
      "ffff",
      "10000",
      "g",
      ":",
      "::",
      ".",
      "",
      "%lo",
      " ",
      "1.2.3.4",
    );
    const nearly = fc.array(pieces, { maxLength: 17 }).map((parts) => parts.join(""));
    const text = fc.oneof(fc.ipV4(), fc.ipV6(), nearly, fc.string({ maxLength: 50 }));
    fc.assert(
      fc.property(text, (value) => {
        const expected = value.includes("%") ? 0 : isIP(value);
        expect(parseIp(value)?.version ?? 0).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it("reads an embedded IPv4 tail", () => {
    expect(parseIp("::ffff:1.2.3.4")).toEqual({ version: 6, value: 0xffff01020304n });
  });
});

describe("formatIp()", () => {
  it.each([
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["fe80:0:0:0:0:0:0:0", "fe80::"],
    ["::1", "::1"],
    ["010.0.0.1", undefined],
    ["203.0.113.7", "203.0.113.7"],
  ])("writes %s as %s", (text, canonical) => {
    const ip = parseIp(text);
    expect(ip && formatIp(ip)).toBe(canonical);
  });

  it("is read back as the same address", () => {
    const ip = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ({ version: 4 as const, value })),
      fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ({ version: 6 as const, value })),
    );
    fc.assert(
      fc.property(ip, (value) => {
        expect(parseIp(formatIp(value))).toEqual(value);
      }),
    );
  });
});
