import { execFile } from "node:child_process";
import { access, constants, readdir, readFile, statfs } from "node:fs/promises";
import { release, totalmem } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import type { MachineFacts } from "../doctor/machine-facts.ts";
import { readNetwork } from "../doctor/node/read-network.ts";
import { SYSTEM_REQUIREMENTS } from "../setup/system-packages.ts";

export interface FactsOptions {
  readonly home: string;
  readonly port: number;
  readonly searchPath: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly portObstacle: string | undefined;
  readonly upAt: string | undefined;
}

/** Looks at the machine and changes nothing: kernel features are tried in a network namespace that ends with the try. */
export async function readMachineFacts(options: FactsOptions): Promise<MachineFacts> {
  const { home, port, searchPath, env, portObstacle, upAt } = options;
  const isRoot = process.getuid?.() === 0;
  const [namespaces, vethFault, network, cgroup, cpuFlags, freeDiskBytes, runsc, missingPackages, apt, isSetUp] =
    await Promise.all([
      readdir("/proc/self/ns").catch(() => []),
      tryVeth(isRoot, searchPath),
      isRoot ? readNetwork(env) : undefined,
      readCgroup(),
      readCpuFlags(),
      freeDisk(home),
      readRunsc(home, searchPath),
      readMissingPackages(searchPath),
      find("apt-get", searchPath),
      isThere(join(home, "agent", "rootfs.erofs")),
    ]);
  return {
    isRoot,
    architecture: process.arch,
    kernel: release(),
    namespaces,
    vethFault,
    network,
    cgroup,
    cpuFlags,
    memoryBytes: totalmem(),
    freeDiskBytes,
    home,
    isSetUp,
    runsc,
    missingPackages,
    hasApt: apt !== undefined,
    port,
    portObstacle,
    upAt,
  };
}

const VETH = ["ip", "link", "add", "atollp0", "type", "veth", "peer", "name", "atollp1"];

async function tryVeth(isRoot: boolean, searchPath: string): Promise<string | undefined> {
  const canTry = isRoot && (await find("ip", searchPath)) !== undefined;
  return canTry ? faultOf(["unshare", "--net", ...VETH], searchPath) : undefined;
}

/** Version 2 unless version 1 has the controllers, as on hybrid machines. */
async function readCgroup(): Promise<MachineFacts["cgroup"]> {
  const unified = await readFile("/sys/fs/cgroup/cgroup.controllers", "utf8").catch(() => undefined);
  if (unified !== undefined) return { version: 2, controllers: unified.trim().split(/\s+/) };
  const mounts = (await readFile("/proc/self/mounts", "utf8").catch(() => ""))
    .split("\n")
    .map((line) => line.split(" "));
  const options = mounts.filter(([, , type]) => type === "cgroup").flatMap(([, , , list = ""]) => list.split(","));
  return options.length === 0 ? { version: undefined, controllers: [] } : { version: 1, controllers: options };
}

async function readCpuFlags(): Promise<readonly string[]> {
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  return /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
}

/** Free space of the nearest folder that exists. */
async function freeDisk(path: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    return path === dirname(path) ? 0 : freeDisk(dirname(path));
  }
}

async function readRunsc(home: string, searchPath: string): Promise<MachineFacts["runsc"]> {
  const own = join(home, "bin", "runsc");
  const path = (await isThere(own)) ? own : await find("runsc", searchPath);
  if (path === undefined) return undefined;
  const { stdout } = await run([path, "--version"], searchPath);
  return { path, versionOutput: stdout };
}

async function readMissingPackages(searchPath: string): Promise<readonly string[]> {
  const found = await Promise.all(
    SYSTEM_REQUIREMENTS.map(async ({ needs, package: name }) => {
      const there = isAbsolute(needs) ? await isThere(needs) : (await find(needs, searchPath)) !== undefined;
      return there ? undefined : name;
    }),
  );
  return [...new Set(found.filter((name) => name !== undefined))].toSorted();
}

async function find(program: string, searchPath: string): Promise<string | undefined> {
  for (const folder of searchPath.split(delimiter)) {
    const path = join(folder, program);
    if (await isThere(path, constants.X_OK)) return path;
  }
  return undefined;
}

function isThere(path: string, mode: number = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

async function faultOf(command: readonly string[], searchPath: string): Promise<string> {
  const { ok, stderr } = await run(command, searchPath);
  return ok ? "" : stderr.trim().split("\n")[0] || "it fails";
}

const TRY_TIMEOUT_MS = 10_000;

function run(command: readonly string[], searchPath: string): Promise<{ ok: boolean; stdout: string; stderr: string }> {
  const [program = "", ...words] = command;
  return new Promise((resolve) => {
    execFile(program, words, { timeout: TRY_TIMEOUT_MS, env: { PATH: searchPath } }, (error, stdout, stderr) =>
      resolve({ ok: error === null, stdout, stderr }),
    );
  });
}
