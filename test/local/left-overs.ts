import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runDirOf, type GatewayProcess } from "../harness/gateway-process.ts";

/**
 * Everything on this machine that belongs to a home's sandboxes: processes, network
 * namespaces, links, rules, mounts, control groups and files. Sorted, for comparing.
 */
export function leftOvers(gateway: Pick<GatewayProcess, "home" | "network">): string[] {
  const runDir = runDirOf(gateway.home);
  const word = gateway.network;
  return [
    ...processesNaming(runDir).map((name) => `process ${name}`),
    ...lines("ip", ["netns", "list"])
      .filter((line) => line.startsWith(`${word}-`))
      .map((line) => `namespace ${line}`),
    ...lines("ip", ["-brief", "link"])
      .filter((line) => line.startsWith(`${word}-`))
      .map((line) => `link ${line}`),
    ...chainsOf(word).map((line) => `rule ${line}`),
    ...readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .filter((line) => (line.includes(runDir) || line.includes(gateway.home)) && !line.includes("/null-netns "))
      .map((line) => `mount ${line}`),
    ...groupsOf(runDir).map((path) => `group ${path}`),
    ...filesOf(gateway.home, runDir).map((path) => `file ${path}`),
  ].toSorted();
}

function lines(program: string, args: readonly string[]): string[] {
  return execFileSync(program, args, { encoding: "utf8" }).split("\n").filter(Boolean);
}

function processesNaming(text: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const cmdline = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return cmdline.includes("runsc") && cmdline.includes(text) ? [cmdline.slice(0, 120)] : [];
      } catch {
        return [];
      }
    });
}

/** Chains and map elements of single sandboxes; the table itself is shared. */
function chainsOf(table: string): string[] {
  try {
    const rules = execFileSync("nft", ["list", "table", "inet", table], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return rules
      .split("\n")
      .filter((line) => line.includes(`${table}-`))
      .map((line) => line.trim());
  } catch {
    return [];
  }
}

function groupsOf(runDir: string): string[] {
  const parent = runDir.slice(runDir.lastIndexOf("/") + 1);
  const roots = ["", ...readdirSync("/sys/fs/cgroup")].map((name) => join("/sys/fs/cgroup", name, parent));
  return roots
    .filter((root) => existsSync(root))
    .flatMap((root) => {
      return readdirSync(root, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(root, entry.name));
    });
}

function filesOf(home: string, runDir: string): string[] {
  const folders = ["sandboxes", "boots"]
    .map((name) => join(home, name))
    .concat(join(runDir, "agents"), join(runDir, "runsc"));
  return folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => {
      return readdirSync(folder)
        .filter((name) => name !== "null-netns")
        .map((name) => join(folder, name));
    });
}
