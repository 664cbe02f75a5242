import { ArchiveFault } from "../archive-fault.ts";
import { PAGE_BYTES, type Span } from "./checkpoint-manifest.ts";
import { fieldsOf, readMessage } from "./proto-message.ts";

const LENGTH_BYTES = 8;
const METADATA_VERSION = 1;
/** A range is a handful of numbers. */
const MOST_RANGE_BYTES = 256;

/** A run of a container's memory file: a part of the file of pages, or zeroes that no file holds. */
export interface MemoryRun {
  readonly bytes: number;
  /** Offset in the file of pages; undefined = zeroes. */
  readonly at: number | undefined;
}

/** Where the pages of a container's memory file lie. */
export interface MemoryMap {
  /** Bytes that are in use, whether written or zero. */
  readonly allocatedBytes: number;
  /** What a range of the memory file holds; refuses a range that is not wholly in use. */
  runs(from: number, to: number): Iterable<MemoryRun>;
}

/** Reads the metadata of one memory file: ranges in order, of which those known as committed were written. */
export function readMemoryMap(metadata: Uint8Array, pages: Span): MemoryMap {
  const length = metadata.length < LENGTH_BYTES ? -1 : readU64(metadata, 0);
  if (length !== metadata.length - LENGTH_BYTES) throw fault("has not the length that it states");
  const { starts, ends, offsets, allocatedBytes, pageOffset } = readRanges(metadata.subarray(LENGTH_BYTES), pages.from);
  if (pageOffset !== pages.to)
    throw new ArchiveFault("damaged", `the checkpoint's pages end at byte ${pages.to} instead of ${pageOffset}`);

  /** Index of the last range that starts at or before an offset. */
  function rangeAt(offset: number): number {
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  return {
    allocatedBytes,
    *runs(from, to) {
      for (let at = from, index = rangeAt(from); at < to; index++) {
        const start = starts[index];
        const end = ends[index];
        const offset = offsets[index];
        if (start === undefined || end === undefined || offset === undefined || at < start || at >= end)
          throw fault("does not have the memory that a file points to");
        const bytes = Math.min(end, to) - at;
        yield { bytes, at: Number.isNaN(offset) ? undefined : offset + at - start };
        at += bytes;
      }
    },
  };
}

/** A kernel decides how many ranges there are: each takes three numbers of memory, and none more. */
function readRanges(message: Uint8Array, pagesAt: number) {
  const starts: number[] = [];
  const ends: number[] = [];
  const offsets: number[] = [];
  let version = 0;
  let pageOffset = pagesAt;
  let allocatedBytes = 0;
  const checkVersion = (): void => {
    if (version !== METADATA_VERSION)
      throw new ArchiveFault("unsupported", `the checkpoint's pages are of version ${version}`);
  };
  for (const [field, value] of fieldsOf(message)) {
    if (field === 1 && typeof value === "number") version = value;
    if (field !== 3 || typeof value === "number") continue;
    checkVersion();
    if (value.length > MOST_RANGE_BYTES) throw fault("has a range with more than a range has");
    const range = readMessage(value);
    const start = range.number(1);
    const end = range.number(2);
    if (start % PAGE_BYTES !== 0 || end % PAGE_BYTES !== 0 || start >= end || start < (ends.at(-1) ?? 0))
      throw fault("has ranges that are not in order");
    const isWritten = range.number(5) === 1;
    starts.push(start);
    ends.push(end);
    offsets.push(isWritten ? pageOffset : Number.NaN);
    allocatedBytes += end - start;
    if (isWritten) pageOffset += end - start;
  }
  checkVersion();
  return { starts, ends, offsets, allocatedBytes, pageOffset };
}

/** An unsigned 64-bit number; exact up to 53 bits and for multiples of a page beyond. */
export function readU64(bytes: Uint8Array, offset: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}

function fault(what: string): ArchiveFault {
  return new ArchiveFault("damaged", `the checkpoint's metadata of pages ${what}`);
}
