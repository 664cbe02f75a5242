import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The process that has claimed a folder. */
export interface Owner {
  readonly pid: number;
  readonly isAlive: boolean;
}

const NOTE = "owner.json";

/** Notes that a folder, and what lies behind it, is this process's. Fails when somebody's note is there. */
export function claim(directory: string): void {
  const note = { pid: process.pid, startTicks: startTicksOf(process.pid) ?? "" };
  const draft = join(directory, `${NOTE}.${process.pid}`);
  writeFileSync(draft, JSON.stringify(note));
  try {
    // Whole or not at all, and one of two at the same time.
    linkSync(draft, join(directory, NOTE));
  } finally {
    rmSync(draft);
  }
}

/** Takes the note away. */
export function release(directory: string): void {
  rmSync(join(directory, NOTE));
}

/** Whose a folder is; undefined when nobody is known to have claimed it. */
export function ownerOf(directory: string): Owner | undefined {
  const note: unknown = JSON.parse(read(join(directory, NOTE)) ?? "null");
  if (typeof note !== "object" || note === null || !("pid" in note) || !("startTicks" in note)) return undefined;
  const { pid, startTicks } = note;
  // The start tells the process from a later one with its number.
  return typeof pid === "number" ? { pid, isAlive: startTicksOf(pid) === startTicks } : undefined;
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
