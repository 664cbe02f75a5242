import { describe, expect, test } from "vitest";
import { clientUrl, parseGatewayRecord, parseStartTicks } from "./gateway-record.ts";

const record = {
  pid: 4711,
  startTicks: 12,
  bootId: "b",
  url: "http://127.0.0.1:8080",
  version: "0.1.0",
  startedAt: "2026-11-22T05:00:00.000Z",
  logFile: "/x/gateway.log",
};

describe("parseGatewayRecord()", () => {
  test("reads what was written", () => {
    expect(parseGatewayRecord(JSON.stringify(record))).toEqual(record);
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    JSON.stringify({ ...record, pid: 1 }),
    JSON.stringify({ ...record, pid: -4711 }),
    JSON.stringify({ ...record, url: "x" }),
    JSON.stringify(record).slice(0, 40),
  ])("refuses %j", (text) => {
    expect(parseGatewayRecord(text)).toBeUndefined();
  });
});

describe("parseStartTicks()", () => {
  const stat = (name: string, state: string): string =>
    `42 (${name}) ${state} 1 42 42 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 98765 1000 10 18446744073709551615`;

  test.each(["bun", "a b", "x) S 1 (y", ")"])("finds the start of a process named %j", (name) => {
    expect(parseStartTicks(stat(name, "S"))).toBe(98_765);
  });

  test("takes a zombie for gone", () => {
    expect(parseStartTicks(stat("bun", "Z"))).toBeUndefined();
  });

  test("answers undefined for other text", () => {
    expect(parseStartTicks("")).toBeUndefined();
  });
});

describe("clientUrl()", () => {
  test.each([
    ["127.0.0.1", "http://127.0.0.1:8080"],
    ["0.0.0.0", "http://127.0.0.1:8080"],
    ["::", "http://[::1]:8080"],
    ["::1", "http://[::1]:8080"],
    ["localhost", "http://localhost:8080"],
  ])("of %s is %s", (listen, url) => {
    expect(clientUrl(listen, 8080)).toBe(url);
  });
});
