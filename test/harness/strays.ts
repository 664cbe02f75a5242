import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const OWNER = "owner.json";

/** The process that made a folder; the start tells it from a later one with its number. */
interface Owner {
  readonly pid: number;
  readonly startTicks: string;
}

/** Notes that a folder, and the sandboxes whose state lies in it, are this process's. */
export function claim(directory: string): void {
  const owner: Owner = { pid: process.pid, startTicks: startTicksOf(process.pid) ?? "" };
  writeFileSync(join(directory, OWNER), JSON.stringify(owner));
}

/**
 * Removes what test processes that were killed have left: folders of temporary names that begin
 * so, and their sandboxes. A folder of a process that lives, or of nobody known, is left alone.
 */
export function sweepStrays(prefix: string): void {
  for (const name of readdirSync(tmpdir()).filter((each) => each.startsWith(prefix))) {
    const directory = join(tmpdir(), name);
    const owner = ownerOf(directory);
    if (owner === undefined || startTicksOf(owner.pid) === owner.startTicks) continue;
    endSandboxes(join(directory, "state"));
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Kills every process of the sandboxes whose state lies in a folder, and lets go of what gVisor mounts there. */
export function endSandboxes(stateDirectory: string): void {
  for (const pid of sandboxProcesses(stateDirectory)) kill(pid);
  execFileSync("sh", ["-c", 'while umount --lazy "$1"/null-netns 2>/dev/null; do :; done', "sh", stateDirectory]);
}

/** Kernels and gofers of the sandboxes whose state lies in a folder. */
export function sandboxProcesses(stateDirectory: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const [program = "", ...args] = (read(`/proc/${pid}/cmdline`) ?? "").split("\0");
      return program.startsWith("runsc-") && args.includes(`--root=${stateDirectory}`);
    });
}

function ownerOf(directory: string): Owner | undefined {
  try {
    const owner: unknown = JSON.parse(readFileSync(join(directory, OWNER), "utf8"));
    if (typeof owner !== "object" || owner === null || !("pid" in owner) || !("startTicks" in owner)) return undefined;
    const { pid, startTicks } = owner;
    return typeof pid === "number" && typeof startTicks === "string" ? { pid, startTicks } : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined when the process has ended. */
function startTicksOf(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined || fields[0] === "Z" ? undefined : fields[19];
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}
