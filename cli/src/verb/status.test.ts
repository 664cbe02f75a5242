import { describe, expect, test } from "vitest";
import { renderStatus } from "../display/up-text.ts";
import type { GatewayRecord } from "../gateway/gateway-record.ts";
import { status, type StatusPorts } from "./status.ts";

const RECORD = {
  pid: 42,
  url: "http://127.0.0.1:8080",
  version: "0.1.0",
  startedAt: "2026-11-22T00:00:00Z",
} as GatewayRecord;
const ports: StatusPorts = {
  home: "/h",
  running: async () => RECORD,
  isReady: async () => true,
  sandboxStates: async () => ["Running", "Failed", "Running"],
  diskBytes: async () => 2048,
};

describe("status()", () => {
  test("counts sandboxes by state", async () => {
    const { report, exitCode } = await status(ports);
    expect(exitCode).toBe(0);
    expect(report).toMatchObject({ up: true, ready: true, sandboxes: { Running: 2, Failed: 1 }, diskBytes: 2048 });
    expect(renderStatus(report)).toContain("sandboxes  1 Failed, 2 Running");
  });

  test("answers 3 when nothing runs", async () => {
    const { report, exitCode } = await status({
      ...ports,
      running: async () => undefined,
      diskBytes: async () => undefined,
    });
    expect([exitCode, report]).toEqual([3, { up: false, home: "/h" }]);
    expect(renderStatus(report)).toBe("Atoll is not up.");
  });

  test("says so when the gateway does not answer", async () => {
    const { report } = await status({ ...ports, isReady: async () => false, sandboxStates: async () => undefined });
    expect(renderStatus(report)).toContain("Atoll is up, but not ready.");
    expect(renderStatus(report)).toContain("unknown, the gateway did not answer");
  });
});
