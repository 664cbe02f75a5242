import { describe, expect, test } from "vitest";
import { CAP_SYS_RESOURCE, hasCapability } from "./capability.ts";
import { parseBoxRecord } from "./record.ts";

const RECORD = { root: "/r", pid: 42, startTicks: 7, startedAt: "2026-01-02T03:04:05.000Z" };

describe("parseBoxRecord()", () => {
  test("reads what was written", () => {
    expect(parseBoxRecord(JSON.stringify(RECORD))).toEqual(RECORD);
  });

  test.each(["", "{", "{}", '{"root":"/r","pid":1,"startTicks":7,"startedAt":"x"}'])(
    "takes %j for no record",
    (text) => {
      expect(parseBoxRecord(text)).toBeUndefined();
    },
  );
});

describe("hasCapability()", () => {
  test.each([
    ["Name:\tx\nCapEff:\t000001ffffffffff\n", true],
    ["CapPrm:\t000001ffffffffff\nCapEff:\t000001fffeffffff\n", false],
    ["CapEff:\t0000000001000000\n", true],
    ["", false],
  ])("of %j is %s", (status, expected) => {
    expect(hasCapability(status, CAP_SYS_RESOURCE)).toBe(expected);
  });
});
