import { mkdir, mkdtemp, readdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";

export interface StagingConfig {
  readonly dir: string;
  /** Free disk that staging leaves in any case. */
  readonly reserveBytes: number;
}

/** A folder of its own, and the disk that is set aside for it. */
export interface StagingPlace {
  readonly dir: string;
  remove(): Promise<void>;
}

export type Staging = Awaited<ReturnType<typeof createStaging>>;

/** Disk for what is on its way elsewhere. What an earlier process left there is removed. */
export async function createStaging({ dir, reserveBytes }: StagingConfig) {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  // The folder itself stays: others may see into it.
  for (const name of await readdir(dir)) await rm(join(dir, name), { recursive: true, force: true });
  let promisedBytes = 0;

  /** Sets disk aside; undefined when there is too little beside what is promised to others. */
  async function take(bytes: number): Promise<StagingPlace | undefined> {
    promisedBytes += bytes;
    const { bavail, bsize } = await statfs(dir);
    if (bavail * bsize - promisedBytes < reserveBytes) {
      promisedBytes -= bytes;
      return undefined;
    }
    const place = await mkdtemp(join(dir, "place-"));
    let isTaken = true;
    return {
      dir: place,
      remove: async () => {
        await rm(place, { recursive: true, force: true });
        if (isTaken) promisedBytes -= bytes;
        isTaken = false;
      },
    };
  }

  return { take };
}
