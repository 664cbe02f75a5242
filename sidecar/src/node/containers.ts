import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, writeFileSync } from "node:fs";
import { ProblemError } from "#core/problem-error.ts";
import { readVariable } from "../domain/environment.ts";
import {
  isAlive,
  parseGroup,
  parseLimits,
  parseStat,
  parseStatus,
  type ProcessPlace,
  type ProcessStatus,
  type ResourceLimit,
} from "../domain/proc.ts";
import { CONTAINER_MARK } from "../container-mark.ts";
import type { Containers } from "../ports.ts";

/** O_PATH | O_DIRECTORY | O_CLOEXEC: a name for a directory, no right to read it. Node has no constant for O_PATH. */
export const PATH_ONLY = 0o10000000;
const DIRECTORY_NAME = PATH_ONLY | 0o200000 | 0o2000000;
const BUFFER_BYTES = 64 << 10;
/** An answer to "which containers are there" is good for this long. */
const SCAN_KEPT_MS = 250;
/** Longest wait for a main process to become its program. */
const BECOMING_MS = 200;
const BECOMING_POLL_MS = 2;

/** A container of the sandbox that runs now. */
export interface Target {
  readonly name: string;
  readonly pid: number;
  readonly rootFd: number;
  /** `cgroup.procs` of its control group, for commands to join; -1 where there is none. */
  readonly groupFd: number;
  readonly limits: readonly ResourceLimit[];
  readonly status: ProcessStatus;
}

/** A container found before. `statusFd` belongs to that one process: it cannot tell of another with the same number. */
interface Known {
  readonly name: string;
  readonly pid: number;
  readonly startTime: string;
  readonly rootFd: number;
  readonly groupFd: number;
  readonly statusFd: number;
  readonly limits: readonly ResourceLimit[];
}

interface MarkedProcess {
  readonly name: string;
  readonly pid: number;
  readonly startTime: string;
}

/**
 * Finds containers by their main processes: no parent in the sandbox, and the mark in their
 * environment. Inside a container nobody can make a process without a parent. What a node's
 * administrator executes in one has neither a parent, but comes later than its main process.
 */
export interface ContainerFinder extends Containers {
  /** The container called `name`, or the only one. */
  find(name: string | undefined): Target;
  /** Environment block of the container's main process; good until the next call. */
  environment(target: Target): Uint8Array;
  /** A descriptor of the main process's working directory; the caller closes it. */
  openWorkingDirectory(target: Target): number;
  /** Path of the main process's working directory inside its root. */
  workingDirectory(target: Target): string;
}

/** `tasksLimit`: most tasks of a container; 0 = no limit of ours. */
export function createContainerFinder(now: () => number, tasksLimit: number): ContainerFinder {
  const known = new Map<string, Known>();
  /** Processes with a parent, as the last scan saw them: none of them becomes a main process. */
  let children: ReadonlySet<number> = new Set();
  let scannedAtMs = -Infinity;
  /** Whether the last scan saw what may be a main process that is just becoming its program. */
  let isOneBecoming = false;

  function scan(): void {
    for (const { name, pid, startTime } of firstOfEachName(findMarked())) {
      const before = known.get(name);
      if (before?.pid === pid && before.startTime === startTime) continue;
      for (const fd of before === undefined ? [] : [before.rootFd, before.statusFd, before.groupFd])
        if (fd >= 0) closeSync(fd);
      known.delete(name);
      const rootFd = orUndefined(() => openSync(`/proc/${pid}/root`, DIRECTORY_NAME));
      const statusFd = orUndefined(() => openSync(`/proc/${pid}/status`, "r"));
      const limits = orUndefined(() => parseLimits(readFileSync(`/proc/${pid}/limits`, "utf8"))) ?? [];
      const groupFd = openGroup(pid, tasksLimit);
      if (rootFd !== undefined && statusFd !== undefined)
        known.set(name, { name, pid, startTime, rootFd, groupFd, statusFd, limits });
    }
    scannedAtMs = now();
  }

  const buffer = Buffer.alloc(BUFFER_BYTES);
  const pause = new Int32Array(new SharedArrayBuffer(4));

  function statusOf({ statusFd }: Known): ProcessStatus | undefined {
    const status = orUndefined(() =>
      parseStatus(buffer.toString("latin1", 0, readSync(statusFd, buffer, 0, BUFFER_BYTES, 0))),
    );
    return isAlive(status) ? status : undefined;
  }

  /**
   * One read is enough for nearly every process, and each system call counts. Not from a descriptor
   * that is kept: it would tell of the program that the process was when it was opened.
   */
  function readEnvironment(pid: number): Uint8Array {
    const fd = openSync(`/proc/${pid}/environ`, "r");
    try {
      const count = readSync(fd, buffer, 0, BUFFER_BYTES, 0);
      return count < BUFFER_BYTES ? buffer.subarray(0, count) : readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Undefined for a process that is gone, or can do nothing any more. */
  function parentOf(pid: number): number | undefined {
    const status = orUndefined(() => parseStatus(readFileSync(`/proc/${pid}/status`, "latin1")));
    isOneBecoming ||= status === undefined;
    return isAlive(status) ? status.parentPid : undefined;
  }

  function findMarked(): MarkedProcess[] {
    const present = pids();
    isOneBecoming = false;
    const parents = new Map(present.map((pid) => [pid, children.has(pid) ? 1 : parentOf(pid)]));
    children = new Set(present.filter((pid) => (parents.get(pid) ?? 0) > 0));
    return present.flatMap((pid) => {
      if (parents.get(pid) !== 0) return [];
      const block = orUndefined(() => readFileSync(`/proc/${pid}/environ`));
      const name = block && readVariable(block, CONTAINER_MARK);
      isOneBecoming ||= pid !== process.ppid && (block === undefined || isBare(block));
      const startTime = readPlace(pid)?.startTime;
      return name && startTime ? [{ name, pid, startTime }] : [];
    });
  }

  function alive(): Target[] {
    return [...known.values()].flatMap((container) => {
      const status = statusOf(container);
      return status === undefined ? [] : [{ ...container, status }];
    });
  }

  /**
   * The kernel closes what a program leaves behind before it shows the next one's environment: who
   * was told of the start may ask within that moment. After a scan without it, it is waited for here,
   * a few milliseconds.
   */
  function scanUntil(isFound: () => boolean): void {
    for (let leftMs = BECOMING_MS; leftMs > 0 && isOneBecoming && !isFound(); leftMs -= BECOMING_POLL_MS) {
      Atomics.wait(pause, 0, 0, BECOMING_POLL_MS);
      scan();
    }
  }

  function only(): Target {
    if (now() - scannedAtMs > SCAN_KEPT_MS || known.size === 0) scan();
    scanUntil(() => known.size > 0);
    if (known.size > 1) {
      const names = [...known.keys()].toSorted().join(", ");
      throw new ProblemError("container-required", `The sandbox has several containers, name one of them: ${names}.`);
    }
    const [container] = known.values();
    // One that ended before it was ever seen is as gone as any other: nothing is wrong with the request.
    if (container === undefined) throw new ProblemError("container-ended", "The sandbox has no container that runs.");
    return named(container.name);
  }

  function named(name: string): Target {
    const before = known.get(name);
    const status = before && statusOf(before);
    if (before && status) return { ...before, status };
    scan();
    scanUntil(() => known.has(name));
    const container = known.get(name);
    const found = container && statusOf(container);
    if (container && found) return { ...container, status: found };
    if (container) throw new ProblemError("container-ended", `The main process of container "${name}" has ended.`);
    throw new ProblemError("unknown-container", `The sandbox has no container "${name}".`);
  }

  return {
    find: (name) => (name === undefined ? only() : named(name)),
    environment: (target) => orEnded(target, () => readEnvironment(target.pid)),
    openWorkingDirectory: (target) => orEnded(target, () => openSync(`/proc/${target.pid}/cwd`, DIRECTORY_NAME)),
    workingDirectory: (target) => orEnded(target, () => readlinkSync(`/proc/${target.pid}/cwd`)),
    list() {
      scan();
      return alive().map(({ name, pid }) => ({ name, pid }));
    },
  };
}

/**
 * True before a process is its program: then it has no search path yet. One with a path and no mark
 * is no container's main process and never becomes one, as a pod's pause.
 */
function isBare(block: Uint8Array): boolean {
  return readVariable(block, CONTAINER_MARK) === undefined && readVariable(block, "PATH") === undefined;
}

/** Of several processes with one mark the one that started first. */
function firstOfEachName(marked: readonly MarkedProcess[]): readonly MarkedProcess[] {
  const oldestFirst = marked.toSorted((a, b) => Number(a.startTime) - Number(b.startTime) || a.pid - b.pid);
  return [...Map.groupBy(oldestFirst, ({ name }) => name).values()].flatMap(([first]) => first ?? []);
}

/** Every process of the sandbox. */
export function readProcesses(): ProcessPlace[] {
  return pids().flatMap((pid) => readPlace(pid) ?? []);
}

/** Undefined for a process that is gone: one that was reaped while it was read tells of no number of its own. */
export function readPlace(pid: number): ProcessPlace | undefined {
  const place = orUndefined(() => parseStat(readFileSync(`/proc/${pid}/stat`, "latin1")));
  return place?.pid === pid ? place : undefined;
}

function pids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function orEnded<T>(target: Target, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new ProblemError("container-ended", `The main process of container "${target.name}" has ended.`, { cause });
  }
}

/**
 * Opens the control group of a container's main process and sets its task limit. The guest's
 * kernel enforces it; from inside the container the group's own files cannot be written.
 */
function openGroup(pid: number, tasksLimit: number): number {
  const path = orUndefined(() => parseGroup(readFileSync(`/proc/${pid}/cgroup`, "utf8")));
  if (path === undefined) return -1;
  if (tasksLimit > 0) orUndefined(() => writeFileSync(`/sys/fs/cgroup${path}/pids.max`, String(tasksLimit)));
  return orUndefined(() => openSync(`/sys/fs/cgroup${path}/cgroup.procs`, "w")) ?? -1;
}
