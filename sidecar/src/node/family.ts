import { familyOf } from "../domain/proc.ts";
import { readPlace, readProcesses } from "./containers.ts";

/**
 * Kills a command: its process group at once, by `killGroup` (false when the command has been
 * reaped), and what has left the group but can still be told to be its: same session, or a living
 * chain of parents. What left the session and whose parents ended stays.
 */
export function killFamily(pid: number, killGroup: () => boolean): void {
  const before = familyOf(pid, readProcesses());
  if (!killGroup()) return;
  const late = familyOf(pid, readProcesses());
  for (const { pid: member, startTime } of [...before, ...late]) {
    if (member === pid || readPlace(member)?.startTime !== startTime) continue;
    try {
      process.kill(member, "SIGKILL");
    } catch {
      // It ended by itself in between.
    }
  }
}
