import { readdir, readlink, stat, statfs } from "node:fs/promises";
import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";

/** A boot and its kernel's process. */
export interface DiskUser {
  readonly id: string;
  readonly pid: number;
}

export interface DiskWatchDeps {
  /** A folder of the disk that is watched. */
  readonly dir: string;
  /** Free bytes below which the one that takes the most has to go. */
  readonly reserveBytes: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly users: () => Promise<readonly DiskUser[]>;
  /** Ends one, and resolves when what it took is free. */
  readonly evict: (user: DiskUser, usedBytes: number) => Promise<void>;
}

const LOOK_MS = 200;
/** Nobody is ended for less: then it is not sandboxes that fill the disk. */
const LEAST_BYTES = 16 * 2 ** 20;

/**
 * Keeps sandboxes from filling the machine's disk, which would stop all of them: each has its
 * limit, but their sum may be more than there is.
 */
export function watchDisk(deps: DiskWatchDeps): { close(): Promise<void> } {
  const stop = new AbortController();
  let hasWarned = false;

  async function look(): Promise<void> {
    if (!(await isShort(deps))) return void (hasWarned = false);
    const users = await Promise.all((await deps.users()).map(async (user) => ({ user, bytes: await usedBytes(user) })));
    const [most] = users.toSorted((a, b) => b.bytes - a.bytes);
    if (most !== undefined && most.bytes >= LEAST_BYTES) return deps.evict(most.user, most.bytes);
    if (!hasWarned) deps.log.warn("The disk is nearly full, and not by sandboxes", { dir: deps.dir });
    hasWarned = true;
  }

  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      await look().catch((error: unknown) => deps.log.error("Disk not watched", { error }));
      await deps.clock.sleep(LOOK_MS, stop.signal).catch(() => undefined);
    }
  }
  const running = run();
  return {
    close: async () => {
      stop.abort();
      await running;
    },
  };
}

async function isShort({ dir, reserveBytes }: DiskWatchDeps): Promise<boolean> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize < reserveBytes;
}

/** What the disks of a sandbox take: files without a name, so only the process that holds them knows. */
export async function usedBytes({ id, pid }: DiskUser): Promise<number> {
  const folder = `/proc/${pid}/fd`;
  const sizes = new Map<number, number>();
  for (const fd of await readdir(folder).catch(() => [])) {
    const target = await readlink(`${folder}/${fd}`).catch(() => "");
    // The process may see the folder elsewhere than we do, but not by another name.
    if (!target.includes(`/${id}/upper/`)) continue;
    const file = await stat(`${folder}/${fd}`).catch(() => undefined);
    if (file !== undefined) sizes.set(file.ino, file.blocks * 512);
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
