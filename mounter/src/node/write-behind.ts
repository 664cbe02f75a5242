import type { FileHandle } from "node:fs/promises";

const BEHIND_BYTES = 64 << 20;

/** Has the disk write what a file was given while more of it comes, so that little is left to wait for at the end. */
export interface WriteBehind {
  wrote(bytes: number): void;
  /** Resolves when nothing uses the file any more; throws what the disk said. */
  rest(): Promise<void>;
}

export function createWriteBehind(file: FileHandle): WriteBehind {
  let unwrittenBytes = 0;
  let writing: Promise<void> | undefined;
  let fault: { readonly error: unknown } | undefined;
  return {
    wrote(bytes) {
      unwrittenBytes += bytes;
      if (unwrittenBytes < BEHIND_BYTES || writing !== undefined) return;
      unwrittenBytes = 0;
      writing = file
        .datasync()
        // The kernel tells of a fault of the disk once: who heard of it has to say so.
        .catch((error: unknown) => void (fault = { error }))
        .finally(() => (writing = undefined));
    },
    async rest() {
      await writing;
      if (fault !== undefined) throw fault.error;
    },
  };
}
