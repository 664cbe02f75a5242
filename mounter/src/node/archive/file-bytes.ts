import { open } from "node:fs/promises";
import { join } from "node:path";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import type { Span } from "../../archive/checkpoint/checkpoint-manifest.ts";
import { createTarScanner, type TarVisitor } from "../../archive/tar-scanner.ts";

const WINDOW_BYTES = 8 * 1024;
/** Windows that are kept: neighbours in a tree mostly are neighbours in its archive. */
const MOST_WINDOWS = 512;
const SCAN_BYTES = 256 * 1024;

/** A file that is read in places. */
export interface FileBytes extends AsyncDisposable {
  readonly sizeBytes: number;
  /** A few bytes; what lies near them is kept for the next call. */
  read(offset: number, bytes: number): Promise<Uint8Array>;
  /** Fills a part of a buffer. */
  readInto(target: Uint8Array, offset: number): Promise<void>;
}

export async function openBytes(folder: string, name = ""): Promise<FileBytes> {
  const path = join(folder, name);
  const file = await open(path, "r");
  const windows = new Map<number, Promise<Uint8Array>>();

  async function readInto(target: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < target.length;) {
      const { bytesRead } = await file.read(target, done, target.length - done, offset + done);
      if (bytesRead === 0) throw new ArchiveFault("damaged", `${path} ends before byte ${offset + target.length}`);
      done += bytesRead;
    }
  }

  try {
    const { size: sizeBytes } = await file.stat();
    const windowAt = (index: number): Promise<Uint8Array> => {
      const known = windows.get(index);
      if (known !== undefined) return known;
      const bytes = new Uint8Array(Math.min(WINDOW_BYTES, sizeBytes - index * WINDOW_BYTES));
      const window = readInto(bytes, index * WINDOW_BYTES).then(() => bytes);
      windows.set(index, window);
      const oldest = windows.keys().next().value;
      if (windows.size > MOST_WINDOWS && oldest !== undefined) windows.delete(oldest);
      return window;
    };
    return {
      sizeBytes,
      readInto,
      async read(offset, bytes) {
        const index = Math.floor(offset / WINDOW_BYTES);
        if (offset + bytes <= Math.min((index + 1) * WINDOW_BYTES, sizeBytes)) {
          const start = offset - index * WINDOW_BYTES;
          return (await windowAt(index)).subarray(start, start + bytes);
        }
        const target = new Uint8Array(bytes);
        await readInto(target, offset);
        return target;
      },
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Shows a visitor an archive within a file; reads data only when the visitor wants it, and waits after each piece. */
export async function scanFile(
  file: FileBytes,
  { from, to }: Span,
  visitor: TarVisitor,
  { signal, onPiece }: { readonly signal: AbortSignal; readonly onPiece: () => Promise<void> },
): Promise<void> {
  const scanner = createTarScanner(visitor, to - from);
  const buffer = new Uint8Array(SCAN_BYTES);
  for (let at = from; at < to;) {
    signal.throwIfAborted();
    const bytes = buffer.subarray(0, Math.min(SCAN_BYTES, to - at));
    await file.readInto(bytes, at);
    scanner.push(bytes);
    await onPiece();
    at += bytes.length;
    const skipped = visitor.data === undefined ? Math.min(scanner.dataLeft(), to - at) : 0;
    if (skipped > 0) scanner.skip(skipped);
    at += skipped;
  }
  scanner.end();
}
