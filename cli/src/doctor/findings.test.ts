import { describe, expect, test } from "vitest";
import { findings } from "./findings.ts";
import type { MachineFacts } from "./machine-facts.ts";

const GIB = 1024 ** 3;
const NETWORK = { rules: true, rateLimit: "shape", ipv6: true, ipv6PerInterface: true, foreignDrops: [] } as const;
const GOOD: MachineFacts = {
  isRoot: true,
  architecture: "x64",
  kernel: "6.1.0",
  namespaces: ["net", "pid", "mnt", "ipc", "uts", "user", "cgroup"],
  vethFault: "",
  network: NETWORK,
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
};

describe("findings()", () => {
  test("find nothing wrong with a good machine", () => {
    expect(findings(GOOD).filter(({ level }) => level !== "ok")).toEqual([]);
  });

  test.each([
    ["root", "missing", { isRoot: false }],
    ["processor", "missing", { cpuFlags: ["sse4_2"] }],
    ["kernel", "missing", { namespaces: ["net", "pid", "mnt", "ipc", "uts"] }],
    ["veth", "missing", { vethFault: "Operation not supported" }],
    ["veth", "warn", { vethFault: undefined }],
    ["nftables", "missing", { network: { ...NETWORK, rules: false } }],
    ["tbf", "warn", { network: { ...NETWORK, rateLimit: "drop" } }],
    ["addresses", "missing", { network: { ...NETWORK, clash: "10.201.0.0/16 overlaps the route to 10.0.0.0/8." } }],
    ["forwarding", "warn", { network: { ...NETWORK, ipv6PerInterface: false } }],
    ["forwarding", "warn", { network: { ...NETWORK, foreignDrops: ["ip filter FORWARD"] } }],
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
  ] as const)("report %s as %s", (name, level, over) => {
    const wrong = findings({ ...GOOD, ...over }).filter((finding) => finding.level !== "ok");
    expect(wrong).toHaveLength(1);
    expect(wrong[0]).toMatchObject({ name, level });
    expect(wrong[0]?.message).toMatch(/[:;] /);
  });

  test("say of a network that could not be tried that it was not", () => {
    const wrong = findings({ ...GOOD, network: undefined }).filter(({ level }) => level !== "ok");
    expect(wrong.map(({ name, level }) => [name, level])).toEqual([
      ["nftables", "warn"],
      ["tbf", "warn"],
      ["addresses", "warn"],
      ["forwarding", "warn"],
    ]);
  });

  test.each([
    [{ architecture: "arm64", cpuFlags: [] }],
    [{ freeDiskBytes: 3 * GIB, isSetUp: true }],
    [{ portObstacle: "taken", upAt: "http://127.0.0.1:8080" }],
  ])("accept %o", (over) => {
    expect(findings({ ...GOOD, ...over }).filter(({ level }) => level !== "ok")).toEqual([]);
  });
});
