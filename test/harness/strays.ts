import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownerOf } from "./claim.ts";

/**
 * Removes what test processes that were killed have left: folders of temporary names that begin
 * so, and their sandboxes. A folder of a process that lives, or of nobody known, is left alone.
 */
export function sweepStrays(prefix: string): void {
  for (const name of readdirSync(tmpdir()).filter((each) => each.startsWith(prefix))) {
    const directory = join(tmpdir(), name);
    if (ownerOf(directory)?.isAlive !== false) continue;
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
