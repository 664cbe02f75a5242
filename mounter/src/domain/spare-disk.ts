/** Keeps on the disk what only saves work: it can go where the disk is needed for more. */
export interface DiskKeeper {
  /** How much of it nobody needs now. */
  readonly spareBytes: number;
  /** Removes so many bytes of that or a little more, the longest unused first. */
  giveUp(bytes: number): Promise<void>;
}

/** What all who keep something could give up for the others. */
export interface SpareDisk {
  readonly bytes: number;
  /** Those who were added first give first. */
  add(keeper: DiskKeeper): void;
  /** Has so many bytes given up; nothing where all together would not do. */
  free(bytes: number): Promise<void>;
}

export function createSpareDisk(): SpareDisk {
  const keepers: DiskKeeper[] = [];
  const all = (): number => keepers.reduce((sum, { spareBytes }) => sum + spareBytes, 0);
  return {
    get bytes() {
      return all();
    },
    add: (keeper) => void keepers.push(keeper),
    async free(bytes) {
      if (bytes > all()) return;
      for (let left = bytes, at = 0; left > 0 && at < keepers.length; at += 1) {
        const keeper = keepers[at];
        const some = Math.min(left, keeper?.spareBytes ?? 0);
        if (some > 0) await keeper?.giveUp(some);
        left -= some;
      }
    },
  };
}
