/** What `/proc/<pid>/status` tells of a process. Capability sets are bit masks. */
export interface ProcessStatus {
  readonly state: string;
  readonly parentPid: number;
  /** Effective user and group. */
  readonly uid: number;
  readonly gid: number;
  readonly bounding: bigint;
  readonly inheritable: bigint;
  readonly noNewPrivileges: boolean;
}

/** Undefined when a field is missing: the process went away while it was read. */
export function parseStatus(text: string): ProcessStatus | undefined {
  const field = (key: string): string | undefined => {
    // The last one: before it there may be a name that a process gave itself, line breaks and all.
    const at = text.lastIndexOf(`\n${key}:\t`);
    const start = at + key.length + 3;
    return at < 0 ? undefined : text.slice(start, text.indexOf("\n", start)).trim();
  };
  const [state, parent, uid, gid] = ["State", "PPid", "Uid", "Gid"].map(field);
  const [bounding, inheritable] = ["CapBnd", "CapInh"].map(field);
  if (!state || !parent || !uid || !gid || !bounding || !inheritable) return undefined;
  return {
    state: state.slice(0, 1),
    parentPid: Number(parent),
    uid: Number(uid.split(/\s+/)[1]),
    gid: Number(gid.split(/\s+/)[1]),
    bounding: BigInt(`0x${bounding}`),
    inheritable: BigInt(`0x${inheritable}`),
    noNewPrivileges: field("NoNewPrivs") === "1",
  };
}

/** True for a process that can still do something: neither dead nor waiting to be reaped. */
export function isAlive(status: ProcessStatus | undefined): status is ProcessStatus {
  return status !== undefined && status.state !== "Z" && status.state !== "X";
}

export interface ProcessPlace {
  readonly pid: number;
  readonly parentPid: number;
  readonly groupId: number;
  readonly sessionId: number;
  /** With the pid, names a process for good. */
  readonly startTime: string;
}

/** From `/proc/<pid>/stat`, whose second field may hold anything between its parentheses. */
export function parseStat(text: string): ProcessPlace | undefined {
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  const [parentPid, groupId, sessionId] = [fields[1], fields[2], fields[3]].map(Number);
  const startTime = fields[19];
  const pid = Number.parseInt(text, 10);
  if (close < 0 || !startTime || [pid, parentPid, groupId, sessionId].some(Number.isNaN)) return undefined;
  return { pid, parentPid: parentPid ?? 0, groupId: groupId ?? 0, sessionId: sessionId ?? 0, startTime };
}

/**
 * Every process that can be told to belong to the command whose direct process is `root`: its
 * session, its group, and all descendants of these. A process that left the session *and* whose
 * parents have ended belongs to nobody and is not found.
 */
export function familyOf(root: number, processes: readonly ProcessPlace[]): ProcessPlace[] {
  // 0 is no process, but the "parent" of every main process: who takes it for a member takes everything.
  const family = new Set<number>(
    processes
      .filter(({ pid, groupId, sessionId }) => pid > 0 && (pid === root || groupId === root || sessionId === root))
      .map(({ pid }) => pid),
  );
  for (let before = -1; before !== family.size;) {
    before = family.size;
    for (const { pid, parentPid } of processes) if (family.has(parentPid)) family.add(pid);
  }
  return processes.filter(({ pid }) => family.has(pid));
}

/** Resource limits by number, as in `/proc/<pid>/limits`; a line that is unknown is left out. */
export interface ResourceLimit {
  readonly resource: number;
  readonly soft: bigint;
  readonly hard: bigint;
}

const UNLIMITED = (1n << 64n) - 1n;
const RESOURCES = [
  "Max cpu time",
  "Max file size",
  "Max data size",
  "Max stack size",
  "Max core file size",
  "Max resident set",
  "Max processes",
  "Max open files",
  "Max locked memory",
  "Max address space",
  "Max file locks",
  "Max pending signals",
  "Max msgqueue size",
  "Max nice priority",
  "Max realtime priority",
  "Max realtime timeout",
];

export function parseLimits(text: string): ResourceLimit[] {
  const limits: ResourceLimit[] = [];
  for (const line of text.split("\n")) {
    const resource = RESOURCES.findIndex((name) => line.startsWith(`${name} `));
    const [soft, hard] = line.slice(RESOURCES[resource]?.length).trim().split(/\s+/).map(limitValue);
    if (resource >= 0 && soft !== undefined && hard !== undefined) limits.push({ resource, soft, hard });
  }
  return limits;
}

function limitValue(text: string): bigint | undefined {
  if (text === "unlimited") return UNLIMITED;
  return /^\d+$/.test(text) ? BigInt(text) : undefined;
}

/** The limits of `target` that differ from `own`: only these need a system call. */
export function differingLimits(target: readonly ResourceLimit[], own: readonly ResourceLimit[]): ResourceLimit[] {
  return target.filter((limit) => {
    const ours = own.find(({ resource }) => resource === limit.resource);
    return ours?.soft !== limit.soft || ours.hard !== limit.hard;
  });
}

/** The version 2 control group in `/proc/<pid>/cgroup`; undefined for the root group, which takes no limits. */
export function parseGroup(text: string): string | undefined {
  const path = /^0::(\/[\w.-]+(?:\/[\w.-]+)*)$/m.exec(text)?.[1];
  return path === undefined || path.split("/").includes("..") ? undefined : path;
}
