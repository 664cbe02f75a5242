import { promisify } from "node:util";
import { constants, zstdCompress, zstdCompressSync, zstdDecompress } from "node:zlib";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import { looksRandom } from "../../archive/looks-random.ts";
import { sizeText } from "../../archive/size-text.ts";
import { createFrameScanner, FRAME_BYTES, storedFrame, type StoredPiece } from "../../archive/zstd-frame.ts";
import { createBufferRing } from "../buffer-ring.ts";
import { summing, type Sum } from "./digest.ts";
import { inOrder } from "./in-order.ts";
import { areZeroes, zeroes } from "./zeroes.ts";

/** Memory that a reader gives for what lies behind: 8 MiB, which every decoder has to offer. */
const MOST_WINDOW_LOG = 23;
/** A frame, and what its parts cost besides when none of them gets smaller. */
const MOST_PACKED_BYTES = FRAME_BYTES + FRAME_BYTES / 64;
/** Level 6 takes 2.4 times the time for 7 % fewer bytes, level 1 saves 40 % of it for 10 % more. */
const LEVEL = 3;
/** Frames that are packed or unpacked at once, beside whatever else this process does. */
const AT_ONCE = 3;
/** Those, one that is filled, and one that is still written elsewhere. */
const BUFFERS = AT_ONCE + 2;
const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
const PARAMS = { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 };
/** A whole frame of a hole, of which one file may have thousands: packed once, and known where it is unpacked. */
const HOLE: Uint8Array = zstdCompressSync(zeroes(FRAME_BYTES), packOptions(FRAME_BYTES));

/** What a packed layer is in the store, and within. */
export interface PackedSums {
  readonly digest: string;
  readonly bytes: number;
  readonly tarDigest: string;
  readonly tarBytes: number;
}

export interface PackedLayer {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Only after the last chunk. */
  sums(): PackedSums;
}

/**
 * Compresses a layer as it comes and sums up both sides in the same pass. It becomes frames of one size,
 * which every decoder of zstd reads one after the other as one: so several are worked on at once, here and
 * where they are unpacked, and equal archives are equal bytes. A chunk of a whole frame is read until four more
 * have been asked for, a shorter one only until the next; each that comes out is good until the next is asked for.
 */
export function packLayer(source: AsyncIterable<Uint8Array>): PackedLayer {
  const tar = summing(source);
  const packed = summing(inPieces(inOrder(inFrames(tar.chunks), AT_ONCE, packFrame)));
  return {
    chunks: packed.chunks,
    sums: () => ({ ...packed.sum(), tarDigest: tar.sum().digest, tarBytes: tar.sum().bytes }),
  };
}

async function packFrame(bytes: Uint8Array): Promise<readonly Uint8Array[]> {
  if (bytes.length === FRAME_BYTES && areZeroes(bytes)) return [HOLE.slice()];
  if (looksRandom(bytes)) return storedFrame(bytes);
  const packed = await compress(bytes, packOptions(bytes.length));
  return packed.length < bytes.length ? [packed] : storedFrame(bytes);
}

function packOptions(bytes: number) {
  return { chunkSize: FRAME_BYTES, params: PARAMS, pledgedSrcSize: bytes };
}

async function* inPieces(frames: AsyncIterable<readonly Uint8Array[]>): AsyncIterable<Uint8Array> {
  for await (const frame of frames) yield* frame;
}

/** Cuts a stream into what becomes frames; no stream is one empty frame. */
async function* inFrames(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const ring = createBufferRing(BUFFERS, FRAME_BYTES);
  let frame: Buffer = Buffer.alloc(0);
  let filled = 0;
  let isAny = false;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      isAny = true;
      if (filled === 0 && chunk.length - at >= FRAME_BYTES) {
        yield chunk.subarray(at, at + FRAME_BYTES);
        at += FRAME_BYTES;
        continue;
      }
      if (filled === 0) frame = ring.next();
      const some = chunk.subarray(at, at + FRAME_BYTES - filled);
      frame.set(some, filled);
      filled += some.length;
      at += some.length;
      if (filled < FRAME_BYTES) continue;
      yield frame;
      filled = 0;
    }
  }
  if (filled > 0 || !isAny) yield frame.subarray(0, filled);
}

/**
 * Unpacks a layer of a store and compares it with what its manifest says. The bytes are good only when the
 * last one has come without an `ArchiveFault`: keep them apart until then. Of the packed bytes only the
 * number is compared: what is within has a digest of its own, and whoever brought them has summed them up.
 * Each chunk is good until the next but one is asked for.
 */
export async function* unpackLayer(source: AsyncIterable<Uint8Array>, expected: PackedSums): AsyncIterable<Uint8Array> {
  let packedBytes = 0;
  async function* counted(): AsyncIterable<Uint8Array> {
    for await (const chunk of atMost(source, expected.bytes, "data")) {
      packedBytes += chunk.length;
      yield chunk;
    }
  }
  const unpacked = inOrder(framesOf(counted()), AT_ONCE, (frame) => unpackFrame(frame, expected.tarBytes));
  const tar = summing(atMost(unpacked, expected.tarBytes, "archive"));
  yield* tar.chunks;
  compare("data", { digest: expected.digest, bytes: packedBytes }, expected);
  compare("archive", tar.sum(), { digest: expected.tarDigest, bytes: expected.tarBytes });
}

type Frame = { readonly packed: Uint8Array } | { readonly plain: Uint8Array };

async function* framesOf(source: AsyncIterable<Uint8Array>): AsyncIterable<Frame> {
  const scanner = createFrameScanner({ mostWindowBytes: 2 ** MOST_WINDOW_LOG });
  const ring = createBufferRing(BUFFERS, MOST_PACKED_BYTES);
  let frame = ring.next();
  let filled = 0;
  let isAny = false;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      const end = scanner.scan(chunk, at);
      const piece = chunk.subarray(at, end);
      if (filled + piece.length > MOST_PACKED_BYTES) throw tooLarge();
      frame.set(piece, filled);
      filled += piece.length;
      at = end ?? chunk.length;
      if (end === undefined) continue;
      isAny = true;
      const whole = frame.subarray(0, filled);
      yield scanner.stored === undefined ? { packed: whole } : { plain: storedIn(whole, scanner.stored) };
      [frame, filled] = [ring.next(), 0];
    }
  }
  if (scanner.isWithin || !isAny) throw new ArchiveFault("damaged", "the snapshot's data is cut before its end");
}

async function unpackFrame(frame: Frame, tarBytes: number): Promise<Uint8Array> {
  if ("plain" in frame) return frame.plain;
  if (Buffer.compare(frame.packed, HOLE) === 0) return zeroes(FRAME_BYTES);
  try {
    const params = { [constants.ZSTD_d_windowLogMax]: MOST_WINDOW_LOG };
    return await decompress(frame.packed, { chunkSize: FRAME_BYTES, maxOutputLength: FRAME_BYTES, params });
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    if (error.code === "ERR_BUFFER_TOO_LARGE") throw tarBytes < FRAME_BYTES ? tooLong("archive", tarBytes) : tooLarge();
    if (!/^Z(STD)?_/.test(String(error.code))) throw error;
    throw new ArchiveFault("damaged", `the snapshot's data is no zstd that can be read: ${error.message}`, {
      cause: error,
    });
  }
}

/** What a frame holds that has it as it is, moved together at its beginning. */
function storedIn(frame: Buffer, stored: readonly StoredPiece[]): Uint8Array {
  let filled = 0;
  for (const { at, bytes } of stored) {
    frame.copyWithin(filled, at, at + bytes);
    filled += bytes;
  }
  return frame.subarray(0, filled);
}

async function* atMost(source: AsyncIterable<Uint8Array>, mostBytes: number, what: string): AsyncIterable<Uint8Array> {
  let left = mostBytes;
  for await (const chunk of source) {
    left -= chunk.length;
    if (left < 0) throw tooLong(what, mostBytes);
    yield chunk;
  }
}

function tooLong(what: string, mostBytes: number): ArchiveFault {
  return new ArchiveFault("damaged", `the snapshot's ${what} is longer than the ${sizeText(mostBytes)} it should be`);
}

function tooLarge(): ArchiveFault {
  return new ArchiveFault("damaged", `the snapshot's data has a frame of more than ${sizeText(FRAME_BYTES)}`);
}

function compare(what: string, found: Sum, expected: Sum): void {
  if (found.bytes !== expected.bytes)
    throw new ArchiveFault("damaged", `the snapshot's ${what} has ${found.bytes} bytes instead of ${expected.bytes}`);
  if (found.digest !== expected.digest)
    throw new ArchiveFault("damaged", `the snapshot's ${what} has the digest ${found.digest}, not ${expected.digest}`);
}
