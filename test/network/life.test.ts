import { beforeAll, describe, expect, it } from "vitest";
import type { LifeReport } from "./lab-report.ts";
import { startLab } from "./start-lab.ts";

describe("createNet()", () => {
  let report: LifeReport;

  beforeAll(async () => {
    report = JSON.parse(await (await startLab("life.ts")).line) as LifeReport;
  }, 60_000);

  it("cleans up whatever a process killed at any moment left", () => {
    expect(report.leftovers.flat()).toEqual([]);
    expect(report.leftovers.length).toBeGreaterThanOrEqual(10);
  });

  it("keeps living links and their policies over a restart", () => {
    expect(report.restart).toEqual({ kept: true, reused: false, found: [0, 1] });
  });

  it("replaces a table that its rules do not fit into", () => expect(report.otherVersion).toBe(true));

  it("takes the least and the most rate that the API knows, and lifts it again", () => {
    expect(report.rates).toEqual(["8bit", "8Tbit", "noqueue"]);
  });

  it("touches no table but its own", () => {
    expect(report.foreign).toMatchObject({ untouched: true, tables: "table ip other\n" });
  });

  it("names the route that clashes with the pool", () => {
    expect(report.clash).toContain("10.201.0.0/16");
    expect(report.clash).toContain("10.201.128.0/17 through wan0");
  });

  it("netCapabilities() reports what the machine can do, and whose rules are in the way", () => {
    expect(report.capabilities).toMatchObject({ missingPrograms: [], rules: true, ipv6: true });
    expect(report.foreign.foreignDrops).toEqual(["ip other fence"]);
  });
});
