import { ArchiveFault } from "../archive-fault.ts";
import { PAGE_BYTES } from "./checkpoint-manifest.ts";
import { readU64, type MemoryMap, type MemoryRun } from "./memory-map.ts";

export const SIZE_BYTES = 8;
export const SEGMENT_BYTES = 24;

/** A part of a file that lies in the memory file; everything else of the file is holes. */
export interface FileSegment {
  readonly start: number;
  readonly end: number;
  /** Where in the memory file it begins. */
  readonly value: number;
}

/** Says what a file holds, from its segments in order. */
export interface SegmentReader {
  /** What the file holds from where the last call ended to the end of the segment, holes included. */
  runs(segment: FileSegment): Iterable<MemoryRun>;
  /** The hole at the end of the file. */
  rest(): number;
  /** Bytes of the memory file that the segments so far took; two files never share any. */
  takenBytes(): number;
}

export function createSegmentReader(sizeBytes: number, memory: MemoryMap): SegmentReader {
  let at = 0;
  let lastEnd = 0;
  let takenBytes = 0;

  function* runs({ start, end, value }: FileSegment): Iterable<MemoryRun> {
    if (start % PAGE_BYTES !== 0 || end % PAGE_BYTES !== 0 || value % PAGE_BYTES !== 0 || start >= end)
      throw fault("is no range of whole pages");
    if (start < lastEnd) throw fault("lies before the end of the one before it");
    lastEnd = end;
    takenBytes += end - start;
    if (takenBytes > memory.allocatedBytes) throw fault("needs more memory than there is");
    const to = Math.min(end, sizeBytes);
    if (start < to && start > at) yield { bytes: start - at, at: undefined };
    let place = start;
    for (const run of memory.runs(value, value + (end - start))) {
      const bytes = Math.min(run.bytes, to - place);
      if (bytes > 0) yield { bytes, at: run.at };
      place += run.bytes;
    }
    if (start < to) at = to;
  }

  return {
    runs,
    rest: () => sizeBytes - at,
    takenBytes: () => takenBytes,
  };
}

export function readSegment(bytes: Uint8Array, offset: number): FileSegment {
  return { start: readU64(bytes, offset), end: readU64(bytes, offset + 8), value: readU64(bytes, offset + 16) };
}

/** Bytes of segments behind a file's size; refuses a body that is not made of whole ones. */
export function checkBody(bodyBytes: number): void {
  if (bodyBytes < SIZE_BYTES || (bodyBytes - SIZE_BYTES) % SEGMENT_BYTES !== 0)
    throw fault("is cut: a file has a size and whole segments");
}

function fault(what: string): ArchiveFault {
  return new ArchiveFault("damaged", `a segment of a file ${what}`);
}
