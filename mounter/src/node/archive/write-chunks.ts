import { open } from "node:fs/promises";
import { createWriteBehind } from "../write-behind.ts";
import { areZeroes } from "./zeroes.ts";

export interface WriteChunksCall {
  readonly signal: AbortSignal;
  /** Whether it has to be on the disk when this resolves. @default false */
  readonly isDurable?: boolean;
}

/**
 * Writes a stream as a file of its own. The next chunk is made while one is written; no more are kept. One of
 * zeroes becomes a hole: it is there for whoever reads the file as it grows, and takes no disk.
 */
export async function writeChunks(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  { signal, isDurable = false }: WriteChunksCall,
): Promise<void> {
  await using file = await open(path, "w", 0o600);
  const behind = createWriteBehind(file);
  let end = 0;
  const write = async (chunk: Uint8Array): Promise<void> => {
    if (areZeroes(chunk)) return file.truncate((end += chunk.length));
    for (let at = 0; at < chunk.length;) {
      const { bytesWritten } = await file.write(chunk, at, chunk.length - at, end);
      at += bytesWritten;
      end += bytesWritten;
    }
    if (isDurable) behind.wrote(chunk.length);
  };
  let writing = Promise.resolve();
  try {
    for await (const chunk of chunks) {
      signal.throwIfAborted();
      await writing;
      writing = write(chunk);
      // It is told at the next chunk, which may be long in coming.
      writing.catch(() => undefined);
    }
    await writing;
    if (isDurable) await file.sync();
  } finally {
    await writing.catch(() => undefined);
    await behind.rest();
  }
  signal.throwIfAborted();
}
