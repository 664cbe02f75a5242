import { ArchiveFault } from "../archive-fault.ts";
import { PAGE_BYTES } from "./checkpoint-manifest.ts";
import { readU64, type MemoryMap, type MemoryRun } from "./memory-map.ts";

export const SIZE_BYTES = 8;
export const SEGMENT_BYTES = 24;

/**
 * Reads what a checkpoint has in the place of a file's data: its size, then segments of it that lie in
 * the memory file. Everything else of it is holes.
 */
export interface SegmentReader {
  /** Takes whole segments; gives what the file holds from where the last call ended, holes included. */
  runs(segments: Uint8Array): Iterable<MemoryRun>;
  /** The hole at the end of the file. */
  rest(): number;
  /** Bytes of the memory file that the segments so far took; two files never share any. */
  takenBytes(): number;
}

export function createSegmentReader(sizeBytes: number, memory: MemoryMap): SegmentReader {
  let at = 0;
  let lastEnd = 0;
  let takenBytes = 0;

  function* runsOf(segments: Uint8Array): Iterable<MemoryRun> {
    for (let offset = 0; offset < segments.length; offset += SEGMENT_BYTES) {
      const start = readU64(segments, offset);
      const end = readU64(segments, offset + 8);
      const value = readU64(segments, offset + 16);
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
  }

  return {
    runs: runsOf,
    rest: () => sizeBytes - at,
    takenBytes: () => takenBytes,
  };
}

/** Bytes of segments behind a file's size; refuses a body that is not made of whole ones. */
export function checkBody(bodyBytes: number): void {
  if (bodyBytes < SIZE_BYTES || (bodyBytes - SIZE_BYTES) % SEGMENT_BYTES !== 0)
    throw fault("is cut: a file has a size and whole segments");
}

function fault(what: string): ArchiveFault {
  return new ArchiveFault("damaged", `a segment of a file ${what}`);
}
