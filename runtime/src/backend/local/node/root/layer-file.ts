import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

/** The most that is read at once. */
export const CHUNK_BYTES = 2 ** 20;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** Whether at most a chunk of bytes are nothing but zeros. */
export function isZero(bytes: Buffer): boolean {
  return bytes.equals(bytes.length === ZEROS.length ? ZEROS : ZEROS.subarray(0, bytes.length));
}

/** An archive on the disk, with holes where its files have them, or one that comes by a pipe. */
export interface LayerFile {
  /** Fills a part of what is given, at most a chunk; 0 = there is no more at present. A pipe has only what comes next. */
  read(into: Buffer, at: number): number;
  close(): void;
}

/**
 * Opens an archive to be read mostly from its beginning to its end. After zeros most likely comes more of a
 * hole, of which the kernel would keep each page in memory as if it were data: that is read past it, where
 * the file system can.
 */
export function openLayer(path: string): LayerFile {
  const fd = openSync(path, "r");
  const isPipe = fstatSync(fd).isFIFO();
  const directFd = isPipe ? undefined : openDirect(path);
  let isAfterZeros = false;

  function readSome(into: Buffer, at: number): number {
    if (directFd !== undefined && isAfterZeros) {
      try {
        return readSync(directFd, into, 0, into.length, at);
      } catch {
        // It is data, or lies where it cannot be read so.
      }
    }
    return readSync(fd, into, 0, into.length, isPipe ? null : at);
  }

  return {
    read(into, at) {
      const bytes = readSome(into, at);
      if (bytes > 0) isAfterZeros = isZero(into.subarray(0, bytes));
      return bytes;
    },
    close() {
      closeSync(fd);
      if (directFd !== undefined) closeSync(directFd);
    },
  };
}

function openDirect(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return undefined;
  }
}
