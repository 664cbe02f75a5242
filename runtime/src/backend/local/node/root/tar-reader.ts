import { createHash } from "node:crypto";
import { CHUNK_BYTES, isZero, type LayerFile } from "./layer-file.ts";
import { RootFault } from "./root-fault.ts";
import { malformed, parseEntry, parsePax, parseRawHeader, TAR_BLOCK_BYTES, type TarEntry } from "./tar-header.ts";

const WAIT_MS = 2;
/** Who writes an archive has given up long before. */
const MOST_WAIT_MS = 600_000;
const IDLE = new Int32Array(new SharedArrayBuffer(4));
/** Longest PAX header: attributes of a file may have 64 KiB each. */
const MAX_EXTENSION_BYTES = 4 * 2 ** 20;

export interface LocatedEntry {
  readonly entry: TarEntry;
  /** Where a file's content begins in the archive. */
  readonly offset: number;
}

/** Takes a file's content as it is read; the bytes are good until it returns. */
export type ContentSink = (bytes: Buffer) => void;

/** An archive that may still be written: whoever writes it appends, and ends this program when it fails. */
export interface TarFile {
  readonly file: Pick<LayerFile, "read">;
  /** Its length when it is whole; absent = it is. */
  readonly growsTo?: number | undefined;
  /** @default true */
  readonly isSummed?: boolean;
}

/**
 * Reads a tar archive from its beginning to its end, every byte once, and answers the digest of
 * all, if it is wanted. Nothing of it is trusted before that: an archive that was cut has members as well.
 */
export function readTar(
  file: TarFile,
  onEntry: (located: LocatedEntry) => ContentSink | undefined,
): string | undefined {
  const source = createSource(file);
  let records = new Map<string, string>();
  for (;;) {
    const block = source.take(TAR_BLOCK_BYTES);
    if (block === undefined) throw cut();
    if (isZero(block)) break;
    const header = parseRawHeader(Buffer.from(block));
    if (header.typeFlag === "x" || header.typeFlag === "L" || header.typeFlag === "K") {
      records = new Map([...records, ...extensionOf(header.typeFlag, source.takePadded(header.bytes))]);
      continue;
    }
    const entry = parseEntry(header, records);
    records = new Map();
    const sink = onEntry({ entry, offset: source.position() });
    source.pass(entry.bytes, sink);
    source.pass(pad(entry.bytes) - entry.bytes);
  }
  source.skipZeros();
  return source.digest();
}

function extensionOf(typeFlag: string, bytes: Buffer): Map<string, string> {
  if (typeFlag === "x") return parsePax(bytes);
  const end = bytes.indexOf(0);
  const text = bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
  return new Map([[typeFlag === "L" ? "path" : "linkpath", text]]);
}

function createSource({ file, growsTo = 0, isSummed = true }: TarFile) {
  const hash = isSummed ? createHash("sha256") : undefined;
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let at = 0;
  let end = 0;
  let chunkOffset = 0;

  /** Reads on when the chunk is used up; false at the archive's end. */
  function fill(): boolean {
    if (at < end) return true;
    chunkOffset += end;
    at = 0;
    end = file.read(chunk, chunkOffset);
    for (let waitedMs = 0; end === 0 && chunkOffset < growsTo; waitedMs += WAIT_MS) {
      if (waitedMs > MOST_WAIT_MS) throw cut();
      Atomics.wait(IDLE, 0, 0, WAIT_MS);
      end = file.read(chunk, chunkOffset);
    }
    hash?.update(chunk.subarray(0, end));
    return end > 0;
  }

  /** The next bytes, valid until the next call; undefined when the archive ends before the first. */
  function take(length: number): Buffer | undefined {
    if (!fill()) return undefined;
    if (end - at >= length) return chunk.subarray(at, (at += length));
    const bytes = Buffer.alloc(length);
    let have = 0;
    while (have < length) {
      if (!fill()) throw cut();
      const count = Math.min(length - have, end - at);
      chunk.copy(bytes, have, at, at + count);
      have += count;
      at += count;
    }
    return bytes;
  }

  function pass(length: number, sink?: ContentSink): void {
    for (let left = length; left > 0;) {
      if (!fill()) throw cut();
      const count = Math.min(left, end - at);
      sink?.(chunk.subarray(at, at + count));
      at += count;
      left -= count;
    }
  }

  return {
    take,
    position: () => chunkOffset + at,
    takePadded: (length: number): Buffer => {
      if (length > MAX_EXTENSION_BYTES) throw malformed("a header of more than 4 MiB");
      const padded = length === 0 ? Buffer.alloc(0) : take(pad(length));
      if (padded === undefined) throw cut();
      return Buffer.from(padded.subarray(0, length));
    },
    pass,
    skipZeros: (): void => {
      while (fill()) {
        if (!isZero(chunk.subarray(at, end))) throw malformed("something behind its end");
        at = end;
      }
    },
    digest: (): string | undefined => hash && `sha256:${hash.digest("hex")}`,
  };
}

function cut(): RootFault {
  return new RootFault("corrupt", "a layer of it has been cut");
}

export function pad(length: number): number {
  return Math.ceil(length / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
}
