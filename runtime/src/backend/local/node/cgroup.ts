import { existsSync } from "node:fs";
import { readFile, rmdir, writeFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Control groups of one sandbox, on hosts with version 1, version 2 or both mounted. */
export interface Cgroup {
  /** Path for the OCI configuration, from the hierarchy's root. */
  pathOf(bootId: string): string;
  /** Makes the parent of all sandboxes' groups; `memoryBytes` bounds them together, so that they cannot take the host. */
  init(memoryBytes: number): Promise<void>;
  setMemoryLimit(bootId: string, bytes: number): Promise<void>;
  setCpuLimit(bootId: string, quotaUs: number, periodUs: number): Promise<void>;
  /** Processes that the kernel killed in this group for lack of memory. */
  oomKills(bootId: string): Promise<number>;
  /** Forks that the group's task limit refused. */
  pidsRefused(bootId: string): Promise<number>;
  remove(bootId: string): Promise<void>;
  /** Does work in which processes join groups, and keeps the kernel quick at that meanwhile. */
  whileJoining<T>(work: () => Promise<T>): Promise<T>;
  /** Removes the parent group, when no sandbox is left. */
  removeParent(): Promise<void>;
}

const ROOT = "/sys/fs/cgroup";
/** A killed process leaves its group within milliseconds, on a loaded machine within a second. */
const REMOVE_ATTEMPTS = 250;
const REMOVE_PAUSE_MS = 20;
/** Well below a grace period. */
const REJOIN_MS = 4;
/** Controllers in which runsc makes a group on version 1 hosts. */
const V1_CONTROLLERS = [
  "blkio",
  "cpu",
  "cpuacct",
  "cpuset",
  "devices",
  "freezer",
  "hugetlb",
  "memory",
  "net_cls",
  "net_prio",
  "perf_event",
  "pids",
  "rdma",
  "systemd",
];

/** `parent` is this instance's own group, for example `atoll-8080`. */
export function createCgroup(parent: string): Cgroup {
  const v2 = existsSync(join(ROOT, "cgroup.controllers"));
  const pathOf = (bootId: string): string => `/${parent}/${bootId}`;
  const dirOf = (controller: string, bootId = ""): string => join(ROOT, v2 ? "" : controller, parent, bootId);

  async function init(memoryBytes: number): Promise<void> {
    if (!v2) {
      await mkdir(dirOf("memory"), { recursive: true });
      await set(join(dirOf("memory"), "memory.limit_in_bytes"), memoryBytes);
      return;
    }
    await mkdir(dirOf(""), { recursive: true });
    await set(join(ROOT, "cgroup.subtree_control"), "+cpu +memory +pids");
    await set(join(dirOf(""), "cgroup.subtree_control"), "+cpu +memory +pids");
    await set(join(dirOf(""), "memory.max"), memoryBytes);
  }

  async function setCpuLimit(bootId: string, quotaUs: number, periodUs: number): Promise<void> {
    const dir = dirOf("cpu", bootId);
    if (v2) return set(join(dir, "cpu.max"), `${quotaUs} ${periodUs}`);
    await set(join(dir, "cpu.cfs_period_us"), periodUs);
    await set(join(dir, "cpu.cfs_quota_us"), quotaUs);
  }

  async function remove(bootId: string): Promise<void> {
    const dirs = v2 ? [dirOf("", bootId)] : V1_CONTROLLERS.map((controller) => dirOf(controller, bootId));
    await Promise.all(dirs.map((dir) => removeGroup(dir)));
  }

  /**
   * On version 1 a process that joins a group waits for a grace period of the kernel, 10 to 20 ms,
   * unless another joined one just before. So this process joins the group that it is in, again and again.
   */
  async function whileJoining<T>(work: () => Promise<T>): Promise<T> {
    const own = v2 ? undefined : await ownGroup();
    if (own === undefined) return work();
    const done = new AbortController();
    const again = async (): Promise<void> => {
      while (!done.signal.aborted) {
        await set(join(own, "cgroup.procs"), process.pid);
        await sleep(REJOIN_MS, undefined, { signal: done.signal });
      }
    };
    // Without it the work is slower, no more.
    again().catch(() => undefined);
    try {
      return await work();
    } finally {
      done.abort();
    }
  }

  return {
    pathOf,
    init,
    whileJoining,
    setCpuLimit,
    setMemoryLimit: (bootId, bytes) =>
      set(join(dirOf("memory", bootId), v2 ? "memory.max" : "memory.limit_in_bytes"), bytes),
    oomKills: (bootId) =>
      counter(join(dirOf("memory", bootId), v2 ? "memory.events" : "memory.oom_control"), "oom_kill"),
    pidsRefused: (bootId) => counter(join(dirOf("pids", bootId), "pids.events"), "max"),
    remove,
    removeParent: () => remove(""),
  };
}

/** This process's group in the hierarchy where a group has no effect at all; undefined when it cannot be told. */
async function ownGroup(): Promise<string | undefined> {
  const groups = await readFile("/proc/self/cgroup", "utf8").catch(() => "");
  const path = /^\d+:freezer:(\/.*)$/m.exec(groups)?.[1];
  if (path === undefined) return undefined;
  const dir = join(ROOT, "freezer", path);
  return (await membersOf(dir)).includes(process.pid) ? dir : undefined;
}

/** Processes of a group; none when it is gone. */
async function membersOf(dir: string): Promise<number[]> {
  const members = await readFile(join(dir, "cgroup.procs"), "utf8").catch(() => "");
  return members.split("\n").flatMap((line) => (line === "" ? [] : [Number(line)]));
}

/** Kills what is still in the group, as a call that was cut may have left it there, and removes the group. */
async function removeGroup(dir: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await rmdir(dir).catch(ignoreMissing);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EBUSY" || attempt === REMOVE_ATTEMPTS) throw error;
    }
    for (const pid of await membersOf(dir)) killIfThere(pid);
    await sleep(REMOVE_PAUSE_MS);
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

async function set(file: string, value: number | string): Promise<void> {
  await writeFile(file, String(value));
}

/** The number behind `key` in a file of `key value` lines; 0 when file or key is missing. */
async function counter(file: string, key: string): Promise<number> {
  const text = await readFile(file, "utf8").catch(() => "");
  const line = text.split("\n").find((each) => each.startsWith(`${key} `));
  return line === undefined ? 0 : Number(line.slice(key.length + 1));
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}
