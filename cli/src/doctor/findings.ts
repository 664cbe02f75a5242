import { formatBytes } from "../display/amount.ts";
import { judgeRunsc } from "../setup/runsc-release.ts";
import type { MachineFacts } from "./machine-facts.ts";

/** `missing` keeps Atoll from running; `warn` does not, or set-up mends it. */
export type Level = "ok" | "warn" | "missing";

export interface Finding {
  readonly name: string;
  readonly level: Level;
  /** What was found and, unless it is ok, what to do about it. */
  readonly message: string;
}

const GIB = 1024 ** 3;
/** Packages, images and a compiler for runsc while it is built. */
const SETUP_DISK_BYTES = 6 * GIB;
/** Writable layers and output of a few sandboxes. */
const RUN_DISK_BYTES = 1 * GIB;
const NEEDED_NAMESPACES = ["net", "pid", "mnt", "ipc", "uts", "user"];
const NEEDED_CONTROLLERS = ["cpu", "memory", "pids"];

/** Judges a machine: one finding a subject, always in the same order. */
export function findings(facts: MachineFacts): readonly Finding[] {
  return [
    root(facts),
    processor(facts),
    kernel(facts),
    veth(facts),
    nftables(facts),
    tbf(facts),
    addresses(facts),
    cgroup(facts),
    memory(facts),
    disk(facts),
    runsc(facts),
    packages(facts),
    port(facts),
    forwarding(facts),
  ];
}

const ok = (name: string, message: string): Finding => ({ name, level: "ok", message });
const warn = (name: string, message: string): Finding => ({ name, level: "warn", message });
const missing = (name: string, message: string): Finding => ({ name, level: "missing", message });

function root({ isRoot }: MachineFacts): Finding {
  return isRoot
    ? ok("root", "runs as root")
    : missing("root", "sandboxes need namespaces, cgroups and packet filters: run atoll with sudo");
}

function processor({ architecture, cpuFlags }: MachineFacts): Finding {
  if (architecture === "x64" && !cpuFlags.includes("avx2")) {
    return missing("processor", "Bun needs a processor with AVX2, and this one has none: use another machine");
  }
  return ok("processor", architecture);
}

function kernel({ kernel: release, namespaces }: MachineFacts): Finding {
  const lacking = NEEDED_NAMESPACES.filter((name) => !namespaces.includes(name));
  if (lacking.length === 0) return ok("kernel", `Linux ${release} with all namespaces`);
  return missing("kernel", `Linux ${release} lacks the namespaces ${lacking.join(", ")}: boot a kernel that has them`);
}

const untried = (name: string, what: string): Finding =>
  warn(name, `${what} could not be tried: run doctor again as root after \`atoll up\``);

function veth({ vethFault }: MachineFacts): Finding {
  const what = "virtual Ethernet pairs (module veth)";
  if (vethFault === undefined) return untried("veth", what);
  if (vethFault === "") return ok("veth", `the kernel has ${what}`);
  return missing("veth", `the kernel refuses ${what} (${vethFault}): load the module or boot a kernel that has it`);
}

function nftables({ network }: MachineFacts): Finding {
  if (network === undefined) return untried("nftables", "the packet filter (module nf_tables)");
  if (network.rules) return ok("nftables", "the kernel takes every kind of rule that sandboxes need");
  return missing("nftables", "the kernel refuses the sandboxes' rules: load nf_tables or boot a kernel that has it");
}

function tbf({ network }: MachineFacts): Finding {
  const what = "the token bucket filter (module sch_tbf)";
  if (network === undefined) return untried("tbf", what);
  if (network.rateLimit === "shape") return ok("tbf", `the kernel has ${what}`);
  return warn("tbf", `the kernel lacks ${what}: packets over an egress rate are dropped, where they would wait`);
}

function addresses({ network }: MachineFacts): Finding {
  if (network === undefined) return untried("addresses", "the sandboxes' addresses");
  if (network.clash === undefined) return ok("addresses", "the sandboxes' addresses are free");
  return missing(
    "addresses",
    `${network.clash.replace(/\.$/, "")}: choose others with ATOLL_NETWORK_POOL or ATOLL_NETWORK_POOL_IPV6`,
  );
}

function cgroup({ cgroup: { version, controllers } }: MachineFacts): Finding {
  if (version === undefined)
    return missing("cgroup", "no cgroup hierarchy is mounted: mount cgroup2 at /sys/fs/cgroup");
  const lacking = NEEDED_CONTROLLERS.filter((name) => !controllers.includes(name));
  if (lacking.length === 0) return ok("cgroup", `version ${version} with ${NEEDED_CONTROLLERS.join(", ")}`);
  return missing(
    "cgroup",
    `version ${version} lacks ${lacking.join(", ")}: limits cannot hold; enable them at boot (cgroup_enable=)`,
  );
}

function memory({ memoryBytes }: MachineFacts): Finding {
  const found = formatBytes(memoryBytes);
  if (memoryBytes < 0.9 * GIB) return missing("memory", `${found}, and at least 1 GiB is needed: add memory`);
  if (memoryBytes < 1.8 * GIB)
    return warn("memory", `${found} is enough for a few small sandboxes only: 2 GiB or more is better`);
  return ok("memory", found);
}

function disk({ freeDiskBytes, home, isSetUp }: MachineFacts): Finding {
  const needed = isSetUp ? RUN_DISK_BYTES : SETUP_DISK_BYTES;
  const found = `${formatBytes(freeDiskBytes)} free below ${home}`;
  if (freeDiskBytes < needed) {
    return missing("disk", `${found}, and ${formatBytes(needed)} are needed: free some or choose another --home`);
  }
  if (freeDiskBytes < 2 * needed) return warn("disk", `${found}: images and sandboxes may soon need more`);
  return ok("disk", found);
}

function runsc({ runsc: found }: MachineFacts): Finding {
  if (found === undefined) return warn("runsc", "not installed: `atoll up` installs it");
  const verdict = judgeRunsc(found.versionOutput);
  if (verdict.kind === "good") return ok("runsc", `${verdict.release} at ${found.path}`);
  return warn("runsc", `${found.path} is refused, ${verdict.why}: \`atoll up\` installs a newer one`);
}

function packages({ missingPackages, hasApt }: MachineFacts): Finding {
  if (missingPackages.length === 0) return ok("packages", "every system package is there");
  const list = missingPackages.join(", ");
  if (hasApt) return warn("packages", `${list} not installed: \`atoll up\` installs them by apt`);
  return missing(
    "packages",
    `${list} not installed, and there is no apt-get: install them with this system's package manager`,
  );
}

function port({ port: number, portObstacle, upAt }: MachineFacts): Finding {
  if (upAt !== undefined) return ok("port", `Atoll is up at ${upAt}`);
  return portObstacle === undefined ? ok("port", `${number} is free`) : missing("port", portObstacle);
}

function forwarding({ network }: MachineFacts): Finding {
  if (network === undefined) return untried("forwarding", "forwarding");
  const { foreignDrops, ipv6, ipv6PerInterface } = network;
  if (foreignDrops.length > 0) {
    const chains = foreignDrops.join(", ");
    return warn(
      "forwarding",
      `${chains} of other software drop what is forwarded: let atoll-* pass there, see docs/guides/networking.md`,
    );
  }
  const each = "the gateway turns it on for single interfaces, and logs each change";
  if (!ipv6) return ok("forwarding", `IPv4 only, the host has no IPv6: ${each}`);
  if (ipv6PerInterface) return ok("forwarding", `IPv4 and IPv6: ${each}`);
  return warn("forwarding", `IPv4: ${each}; IPv6: this kernel can forward it for the whole host only`);
}
