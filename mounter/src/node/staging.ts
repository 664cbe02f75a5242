import { mkdir, mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { createQuota } from "../domain/quota.ts";
import { SnapshotFault } from "../domain/snapshot-fault.ts";
import { createSpareDisk, type SpareDisk } from "../domain/spare-disk.ts";

export interface StagingConfig {
  /** Absolute, and for staging alone: what lies there is removed at start. */
  readonly dir: string;
  /** Most bytes that are promised at once. */
  readonly maxBytes: number;
  /** Free disk that staging leaves in any case. */
  readonly reserveBytes: number;
  /** What others give up where the disk has too little room; nothing by default. */
  readonly spare?: SpareDisk;
}

/** A folder of its own, for as many bytes as were asked for. */
export interface StagingPlace {
  readonly dir: string;
  remove(): Promise<void>;
}

export interface Staging {
  readonly maxBytes: number;
  readonly promisedBytes: number;
  /** How much there is on the disk as it is now, beside what is promised to others; nobody gives up anything for it. */
  roomBytes(): Promise<number>;
  /** Whether there is so much beside what is promised to others; `ownBytes` are promised to who asks, and may be written already. */
  hasRoom(bytes: number, ownBytes: number): Promise<boolean>;
  /**
   * A place, when it is this one's turn and there is room beside what is promised to others. What could
   * never fit, and what does not fit on the disk, is refused at once: `full`.
   */
  take(bytes: number, call: { readonly signal: AbortSignal }): Promise<StagingPlace>;
}

/** Disk for what is on its way elsewhere. What an ended process left there is removed. */
export async function createStaging(config: StagingConfig): Promise<Staging> {
  const { dir, maxBytes, reserveBytes, spare = createSpareDisk() } = config;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dir))
    if (name.startsWith(PLACE)) await rm(join(dir, name), { recursive: true, force: true });
  const quota = createQuota(maxBytes);
  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(dir);
    return bavail * bsize - reserveBytes;
  };
  /** Free disk, of which there are so many bytes if that can be had; then `more`, too, as far as that can be had. */
  const freed = async (bytes: number, more = 0): Promise<number> => {
    const free = await freeBytes();
    if (free >= bytes || bytes - free > spare.bytes) return free;
    await spare.free(Math.min(spare.bytes, bytes - free + more));
    return freeBytes();
  };

  return {
    maxBytes,
    get promisedBytes() {
      return quota.taken;
    },
    roomBytes: async () => Math.max(0, Math.min(maxBytes, (await freeBytes()) - quota.taken)),
    async hasRoom(bytes, ownBytes) {
      const needed = quota.taken - ownBytes + bytes;
      return bytes <= maxBytes && (await freed(needed, GROWTH_BYTES)) >= needed;
    },
    async take(bytes, { signal }) {
      if (bytes > maxBytes) throw full(`${bytes} bytes are more than the ${maxBytes} that may lie on their way here`);
      const giveBack = await quota.take(bytes, signal);
      try {
        const free = await freed(quota.taken);
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
/** Given up at once for what grows: it grows faster than the disk is looked at, and than files are removed one by one. */
const GROWTH_BYTES = 2 ** 30;

function full(why: string): SnapshotFault {
  return new SnapshotFault("full", `There is no room on this node: ${why}.`);
}
