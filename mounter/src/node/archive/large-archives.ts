import { createQuota, type GiveBack } from "../../domain/quota.ts";

/** Memory that one archive's names and entries may take while others do the same: some 100,000 files. */
const SMALL_BYTES = 64 * 2 ** 20;

/**
 * Keeps archives of very many entries from being in memory side by side: how many an archive has is for
 * the sandbox to choose that wrote it, and the memory is that of all sandboxes of the machine.
 */
export interface LargeArchives {
  /**
   * For one archive, until it is out of memory. `untilWhole` resolves when all of what it is read from lies on
   * this machine: a large one that still comes waits for that first, and holds up no other meanwhile.
   */
  enter(signal: AbortSignal, untilWhole?: () => Promise<void>): ArchiveTurn;
}

export interface ArchiveTurn extends Disposable {
  /** Resolves when the archive may have grown to so many bytes of memory: a large one when no other is there. */
  fits(memoryBytes: number): Promise<void>;
}

export function createLargeArchives(smallBytes = SMALL_BYTES): LargeArchives {
  const large = createQuota(1);
  return {
    enter(signal, untilWhole) {
      let leave: GiveBack | undefined;
      return {
        async fits(memoryBytes) {
          if (memoryBytes <= smallBytes || leave !== undefined) return;
          await untilWhole?.();
          leave = await large.take(1, signal);
        },
        [Symbol.dispose]: () => leave?.(),
      };
    },
  };
}
