import { mkdir, mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { createQuota } from "../domain/quota.ts";
import { SnapshotFault } from "../domain/snapshot-fault.ts";

export interface StagingConfig {
  /** Absolute, and for staging alone: what lies there is removed at start. */
  readonly dir: string;
  /** Most bytes that are promised at once. */
  readonly maxBytes: number;
  /** Free disk that staging leaves in any case. */
  readonly reserveBytes: number;
}

/** A folder of its own, for as many bytes as were asked for. */
export interface StagingPlace {
  readonly dir: string;
  remove(): Promise<void>;
}

export interface Staging {
  readonly promisedBytes: number;
  /** How much there could be on the disk as it is now, beside what is promised to others; `ownBytes` are promised to who asks. */
  roomBytes(ownBytes?: number): Promise<number>;
  /**
   * A place, when it is this one's turn and there is room beside what is promised to others. What could
   * never fit, and what does not fit on the disk, is refused at once: `full`.
   */
  take(bytes: number, call: { readonly signal: AbortSignal }): Promise<StagingPlace>;
}

/** Disk for what is on its way elsewhere. What an ended process left there is removed. */
export async function createStaging({ dir, maxBytes, reserveBytes }: StagingConfig): Promise<Staging> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dir))
    if (name.startsWith(PLACE)) await rm(join(dir, name), { recursive: true, force: true });
  const quota = createQuota(maxBytes);
  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(dir);
    return bavail * bsize - reserveBytes;
  };

  return {
    get promisedBytes() {
      return quota.taken;
    },
    roomBytes: async (ownBytes = 0) => Math.max(0, Math.min(maxBytes, (await freeBytes()) - (quota.taken - ownBytes))),
    async take(bytes, { signal }) {
      if (bytes > maxBytes) throw full(`${bytes} bytes are more than the ${maxBytes} that may lie on their way here`);
      const giveBack = await quota.take(bytes, signal);
      try {
        const free = await freeBytes();
        // What others were promised may not have been written yet.
        if (free < quota.taken) throw full(`${quota.taken} bytes are promised, and ${Math.max(0, free)} are free`);
        const place = await mkdtemp(join(dir, PLACE));
        return {
          dir: place,
          async remove() {
            await rm(place, { recursive: true, force: true });
            giveBack();
          },
        };
      } catch (error) {
        giveBack();
        throw error;
      }
    },
  };
}

const PLACE = "place-";

function full(why: string): SnapshotFault {
  return new SnapshotFault("full", `There is no room on this node: ${why}.`);
}
