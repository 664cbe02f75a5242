import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { createBufferRing } from "./buffer-ring.ts";

const { O_NOFOLLOW, O_RDONLY } = constants;
/** Bytes of a chunk. */
export const READ_BYTES = 1 << 20;
/** One that is filled, one that is read, and one that is still written elsewhere. */
export const READ_AT_ONCE = 3;

/** A file from its beginning to its end. Each chunk is good until the next but one is asked for. */
export async function* readChunks(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  await using file = await open(path, O_RDONLY | O_NOFOLLOW);
  const ring = createBufferRing(READ_AT_ONCE, READ_BYTES);
  for (;;) {
    signal.throwIfAborted();
    const buffer = ring.next();
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}
