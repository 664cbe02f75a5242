import { ArchiveFault } from "../archive-fault.ts";
import { showPath } from "../byte-string.ts";
import type { EntryHead } from "../entry-head.ts";
import { createLayerIndex, indexed, type IndexedEntry } from "../layer-index.ts";
import type { LayerLimits } from "../layer-limits.ts";
import type { EntryPlace, TarVisitor } from "../tar-scanner.ts";
import {
  SEGMENT_BYTES,
  SIZE_BYTES,
  checkBody,
  createSegmentReader,
  readSegment,
  type FileSegment,
  type SegmentReader,
} from "./file-segments.ts";
import { readU64, type MemoryMap } from "./memory-map.ts";

/** Segments that are kept in memory: those of most files. What has more is read from the archive again. */
const MOST_KEPT_SEGMENTS = 4;

/** An entry of a checkpoint; a file of few segments has them here. */
export interface CheckpointEntry extends IndexedEntry {
  readonly segments?: readonly FileSegment[] | undefined;
}

/** Collects the entries of a checkpoint's archive, with the sizes that its files really have. */
export interface CheckpointIndex extends Required<TarVisitor> {
  /** About how much memory the entries take so far. */
  readonly memoryBytes: number;
  finish(): readonly CheckpointEntry[];
}

interface OpenFile {
  readonly head: EntryHead;
  readonly place: EntryPlace;
  sizeBytes: number;
  heldBytes: number;
  segments: FileSegment[] | undefined;
  reader: SegmentReader | undefined;
}

export function createCheckpointIndex(memory: MemoryMap, limits: LayerLimits): CheckpointIndex {
  const index = createLayerIndex(limits);
  /** What the next number or segment has so far; data comes in pieces of any size. */
  const part = new Uint8Array(SEGMENT_BYTES);
  let filled = 0;
  let open: OpenFile | undefined;
  let takenBytes = 0;

  function close(): void {
    if (open === undefined) return;
    const { head, place, sizeBytes, heldBytes, segments, reader } = open;
    takenBytes += reader?.takenBytes() ?? 0;
    if (takenBytes > memory.allocatedBytes)
      throw new ArchiveFault("damaged", "the checkpoint's files need more memory than there is");
    const entry: CheckpointEntry = { ...indexed(head, place), sizeBytes, heldBytes, segments };
    index.add(entry);
    open = undefined;
  }

  function onPart(file: OpenFile): void {
    filled = 0;
    if (file.reader === undefined) {
      file.sizeBytes = readU64(part, 0);
      file.reader = createSegmentReader(file.sizeBytes, memory);
      return;
    }
    const segment = readSegment(part, 0);
    for (const run of file.reader.runs(segment)) if (run.at !== undefined) file.heldBytes += run.bytes;
    file.segments?.push(segment);
  }

  return {
    get memoryBytes() {
      return index.memoryBytes;
    },
    entry(head, place) {
      close();
      if (head.kind !== "file") return index.add(indexed(head, place));
      within(head, () => checkBody(head.sizeBytes));
      const isSmall = head.sizeBytes <= SIZE_BYTES + MOST_KEPT_SEGMENTS * SEGMENT_BYTES;
      open = { head, place, sizeBytes: 0, heldBytes: 0, segments: isSmall ? [] : undefined, reader: undefined };
    },
    data(bytes) {
      const file = open;
      if (file === undefined) return;
      for (let at = 0; at < bytes.length;) {
        const needed = file.reader === undefined ? SIZE_BYTES : SEGMENT_BYTES;
        const some = bytes.subarray(at, at + needed - filled);
        part.set(some, filled);
        filled += some.length;
        at += some.length;
        if (filled === needed) within(file.head, () => onPart(file));
      }
    },
    finish() {
      close();
      return index.finish();
    },
  };
}

function within(head: EntryHead, step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error;
    throw new ArchiveFault(error.code, `the checkpoint's file "${showPath(head.path)}": ${error.message}`, {
      cause: error,
    });
  }
}
