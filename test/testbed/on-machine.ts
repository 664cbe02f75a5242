import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { CGROUP, NETWORK, type Layout } from "#testbed/layout.ts";

/** What of a testbed can be seen on the machine, kind by kind; each list is empty when there is nothing. */
export interface OnMachine {
  readonly processes: readonly string[];
  readonly mounts: readonly string[];
  readonly links: readonly string[];
  readonly routes: readonly string[];
  readonly packetRules: readonly string[];
  readonly controlGroups: readonly string[];
}

/** Other clusters and containers may come and go on the machine meanwhile: only what bears the testbed's marks counts. */
export function onMachine({ root }: Layout): OnMachine {
  const { link } = NETWORK;
  const marks = [link, root, "testbed", "10.80.0.", "10.81.", "10.82."];
  const marked = (text: string): string[] =>
    text.split("\n").filter((line) => marks.some((mark) => line.includes(mark)));
  const run = (...words: readonly string[]): string =>
    execFileSync(words[0] ?? "", words.slice(1), {
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
      stdio: ["ignore", "pipe", "ignore"],
    });
  return {
    processes: processesOfGroup(),
    mounts: marked(readFileSync("/proc/self/mountinfo", "utf8")),
    links: marked(run("ip", "-o", "link", "show")),
    routes: marked(run("ip", "-4", "route", "show", "table", "all")),
    packetRules: [...marked(run("iptables-save")), ...marked(run("nft", "list", "ruleset"))],
    controlGroups: run("find", "/sys/fs/cgroup", "-type", "d", "-name", CGROUP).split("\n").filter(Boolean),
  };
}

/** Settings of the kernel, and files, that a node of Kubernetes likes to change. */
export function machineSettings(): Record<string, string> {
  const read = (path: string): string => readFileSync(path, "utf8");
  const settings = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "kernel/hostname",
  ];
  return {
    ...Object.fromEntries(settings.map((name) => [name, read(`/proc/sys/${name}`)])),
    "/etc/hosts": read("/etc/hosts"),
    "/etc/resolv.conf": read("/etc/resolv.conf"),
    "/usr/local/bin": readdirSync("/usr/local/bin").join("\n"),
  };
}

function processesOfGroup(): string[] {
  return (
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => readIfThere(`/proc/${pid}/cgroup`).includes(`/${CGROUP}`))
      .map((pid) => readIfThere(`/proc/${pid}/cmdline`).replaceAll("\0", " "))
      // An ended process has no command line left.
      .filter((command) => command !== "")
  );
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
