import { FRAME_BYTES } from "../../archive/zstd-frame.ts";
import { createBufferRing } from "../buffer-ring.ts";
import type { FileBytes } from "./file-bytes.ts";
import type { Piece } from "./layer-source.ts";
import { zeroes } from "./zeroes.ts";

/** What is packed at once: it need not be put together anew. */
const CHUNK_BYTES = FRAME_BYTES;
/** What is packed at once, one that is put together, and one to spare. */
const CHUNKS_AT_ONCE = 5;

/** A part of a chunk that is to be read; grows while the next piece lies behind it in the file. */
interface Read {
  readonly file: FileBytes;
  readonly at: number;
  readonly start: number;
  end: number;
}

/**
 * Puts pieces together to chunks; the reads of one chunk run side by side. The pieces must be exactly
 * as many bytes as said: a layer that is not as long as its headers say is worse than none. A chunk is good
 * until four more are asked for.
 */
export async function* fillChunks(
  parts: AsyncIterable<Uint8Array | Piece>,
  totalBytes: number,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const ring = createBufferRing(CHUNKS_AT_ONCE, CHUNK_BYTES);
  const nextChunk = (leftBytes: number): Buffer => ring.next().subarray(0, leftBytes);
  let left = totalBytes;
  let chunk = nextChunk(left);
  let filled = 0;
  let reads: Read[] = [];

  function fill(part: Uint8Array | Piece, done: number, bytes: number): void {
    const target = chunk.subarray(filled, filled + bytes);
    if (part instanceof Uint8Array) target.set(part.subarray(done, done + bytes));
    else if (part.from === undefined) target.fill(0);
    else addRead(part.from.file, part.from.at + done, bytes);
    filled += bytes;
  }

  function addRead(file: FileBytes, at: number, bytes: number): void {
    const last = reads.at(-1);
    if (last?.file === file && last.end === filled && last.at + last.end - last.start === at) last.end += bytes;
    else reads.push({ file, at, start: filled, end: filled + bytes });
  }

  for await (const part of parts) {
    const bytes = part instanceof Uint8Array ? part.length : part.bytes;
    for (let done = 0; done < bytes;) {
      const some = Math.min(bytes - done, chunk.length - filled);
      if (some === 0) throw new Error(`A layer is longer than the ${totalBytes} bytes planned`);
      if (some === chunk.length && isHole(part)) {
        signal.throwIfAborted();
        yield zeroes(some);
        done += some;
        left -= some;
        chunk = chunk.subarray(0, left);
        continue;
      }
      fill(part, done, some);
      done += some;
      if (filled < chunk.length) continue;
      signal.throwIfAborted();
      const full = chunk;
      await Promise.all(reads.map(({ file, at, start, end }) => file.readInto(full.subarray(start, end), at)));
      yield full;
      left -= full.length;
      chunk = nextChunk(left);
      filled = 0;
      reads = [];
    }
  }
  if (left > 0) throw new Error(`A layer is ${left} bytes shorter than planned`);
}

/** What is nowhere to be read need not be filled either. */
function isHole(part: Uint8Array | Piece): boolean {
  return !(part instanceof Uint8Array) && part.from === undefined;
}
