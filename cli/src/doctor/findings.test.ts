import { describe, expect, test } from "vitest";
import { findings } from "./findings.ts";
import type { MachineFacts } from "./machine-facts.ts";

const GIB = 1024 ** 3;
const GOOD: MachineFacts = {
  isRoot: true,
  architecture: "x64",
  kernel: "6.1.0",
  namespaces: ["net", "pid", "mnt", "ipc", "uts", "user", "cgroup"],
  probes: { veth: "", nftables: "", tbf: "" },
  cgroup: { version: 2, controllers: ["cpu", "memory", "pids", "io"] },
  cpuFlags: ["sse4_2", "avx2"],
  memoryBytes: 8 * GIB,
  freeDiskBytes: 50 * GIB,
  home: "/var/lib/atoll",
  isSetUp: false,
  runsc: { path: "/usr/bin/runsc", versionOutput: "runsc version release-20260905.0\nspec: 1.1.0\n" },
  missingPackages: [],
  hasApt: true,
  port: 8080,
  portObstacle: undefined,
  upAt: undefined,
  forwarding: true,
};

describe("findings()", () => {
  test("find nothing wrong with a good machine", () => {
    expect(findings(GOOD).filter(({ level }) => level !== "ok")).toEqual([]);
  });

  test.each([
    ["root", "missing", { isRoot: false }],
    ["processor", "missing", { cpuFlags: ["sse4_2"] }],
    ["kernel", "missing", { namespaces: ["net", "pid", "mnt", "ipc", "uts"] }],
    ["veth", "missing", { probes: { ...GOOD.probes, veth: "Operation not supported" } }],
    ["tbf", "warn", { probes: { ...GOOD.probes, tbf: undefined } }],
    ["cgroup", "missing", { cgroup: { version: undefined, controllers: [] } }],
    ["cgroup", "missing", { cgroup: { version: 1, controllers: ["cpu", "pids"] } }],
    ["memory", "missing", { memoryBytes: 0.5 * GIB }],
    ["memory", "warn", { memoryBytes: 1.5 * GIB }],
    ["disk", "missing", { freeDiskBytes: 3 * GIB }],
    ["disk", "warn", { freeDiskBytes: 8 * GIB }],
    ["runsc", "warn", { runsc: undefined }],
    ["runsc", "warn", { runsc: { path: "/x", versionOutput: "runsc version release-20240101.0" } }],
    ["packages", "warn", { missingPackages: ["nftables"] }],
    ["packages", "missing", { missingPackages: ["nftables"], hasApt: false }],
    ["port", "missing", { portObstacle: "port 8080 of 127.0.0.1 is taken; choose one with --port" }],
    ["forwarding", "warn", { forwarding: false }],
  ] as const)("report %s as %s", (name, level, over) => {
    const wrong = findings({ ...GOOD, ...over }).filter((finding) => finding.level !== "ok");
    expect(wrong).toHaveLength(1);
    expect(wrong[0]).toMatchObject({ name, level });
    expect(wrong[0]?.message).toMatch(/[:;] /);
  });

  test.each([
    [{ architecture: "arm64", cpuFlags: [] }],
    [{ freeDiskBytes: 3 * GIB, isSetUp: true }],
    [{ portObstacle: "taken", upAt: "http://127.0.0.1:8080" }],
  ])("accept %o", (over) => {
    expect(findings({ ...GOOD, ...over }).filter(({ level }) => level !== "ok")).toEqual([]);
  });
});
