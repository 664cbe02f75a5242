import { mkdir, readdir, readFile, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "#core/clock.ts";
import { CGROUP } from "../layout.ts";

const HIERARCHIES = "/sys/fs/cgroup";
/** Group of the node's own programs where there is one hierarchy. */
const LEAF = "box";
const EMPTY_WITHIN_MS = 30_000;
const POLL_MS = 20;

/** The groups of the box: one in each hierarchy of the machine. */
export interface ControlGroups {
  readonly groups: readonly string[];
  readonly leaf?: string;
}

/** Makes the groups that the box joins. */
export async function makeControlGroups(): Promise<ControlGroups> {
  if (await isFile(join(HIERARCHIES, "cgroup.controllers"))) return makeUnified();
  const groups = [];
  for (const hierarchy of await listHierarchies()) {
    const group = join(hierarchy, CGROUP);
    await mkdir(group, { recursive: true });
    // A new group of this one has no processor and no memory node to run on.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      const above = await readFile(join(hierarchy, file), "utf8").catch(() => undefined);
      if (above !== undefined) await writeFile(join(group, file), above);
    }
    groups.push(group);
  }
  return { groups };
}

async function makeUnified(): Promise<ControlGroups> {
  const group = join(HIERARCHIES, CGROUP);
  const all = (await readFile(join(HIERARCHIES, "cgroup.controllers"), "utf8")).trim().split(" ");
  for (const controller of all) {
    // One that the machine keeps for itself is not there for anybody.
    await writeFile(join(HIERARCHIES, "cgroup.subtree_control"), `+${controller}`).catch(() => undefined);
  }
  const leaf = join(group, LEAF);
  await mkdir(leaf, { recursive: true });
  return { groups: [group], leaf };
}

/** Ends every process in the groups of the box, and removes the groups. */
export async function removeControlGroups(signal: AbortSignal): Promise<void> {
  const groups = await existingGroups();
  const deadlineMs = systemClock.now() + EMPTY_WITHIN_MS;
  for (let pids = await processesIn(groups); pids.length > 0; pids = await processesIn(groups)) {
    if (systemClock.now() > deadlineMs)
      throw new Error(`${pids.length} processes of the testbed do not end, the first is ${pids[0]}.`);
    for (const pid of pids) end(pid);
    await systemClock.sleep(POLL_MS, signal);
  }
  for (const group of groups) await removeTree(group, deadlineMs);
}

/** Groups of the box that are there, whoever made them. */
export async function existingGroups(): Promise<string[]> {
  const candidates = [HIERARCHIES, ...(await listHierarchies())].map((hierarchy) => join(hierarchy, CGROUP));
  const found = await Promise.all(candidates.map(isFolder));
  return candidates.filter((_, index) => found[index]);
}

/** All processes in groups and in the groups below them. */
export async function processesIn(groups: readonly string[]): Promise<number[]> {
  const found = new Set<number>();
  for (const group of groups) {
    for (const folder of await treeOf(group)) {
      const text = await readFile(join(folder, "cgroup.procs"), "utf8").catch(() => "");
      for (const line of text.split("\n")) if (Number(line) > 0) found.add(Number(line));
    }
  }
  return [...found];
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}

async function removeTree(group: string, deadlineMs: number): Promise<void> {
  for (const folder of (await treeOf(group)).toReversed()) {
    // The kernel lets go of a group a moment after its last process.
    for (;;) {
      const error: unknown = await rmdir(folder).catch((fault: unknown) => fault);
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === undefined || code === "ENOENT") break;
      if (code !== "EBUSY" || systemClock.now() > deadlineMs) throw error;
      await systemClock.sleep(POLL_MS);
    }
  }
}

/** A group and all below it, each after the one it lies in. */
async function treeOf(group: string): Promise<string[]> {
  const entries = await readdir(group, { withFileTypes: true }).catch(() => []);
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => treeOf(join(group, name)));
  return [group, ...(await Promise.all(below)).flat()];
}

/** Hierarchies of version 1, without the links that are second names of some. */
async function listHierarchies(): Promise<string[]> {
  const entries = await readdir(HIERARCHIES, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(HIERARCHIES, name));
  const isHierarchy = await Promise.all(folders.map((folder) => isFile(join(folder, "cgroup.procs"))));
  return folders.filter((_, index) => isHierarchy[index]);
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
