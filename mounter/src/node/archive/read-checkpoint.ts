import { ArchiveFault } from "../../archive/archive-fault.ts";
import { createCheckpointIndex, type CheckpointEntry } from "../../archive/checkpoint/checkpoint-index.ts";
import { readManifest, type CheckpointSizes } from "../../archive/checkpoint/checkpoint-manifest.ts";
import {
  SEGMENT_BYTES,
  SIZE_BYTES,
  createSegmentReader,
  readSegment,
  type FileSegment,
} from "../../archive/checkpoint/file-segments.ts";
import { readMemoryMap, type MemoryMap, type MemoryRun } from "../../archive/checkpoint/memory-map.ts";
import type { LayerLimits } from "../../archive/layer-limits.ts";
import { nodesOf } from "../../archive/layer-node.ts";
import { planLayer } from "../../archive/layer-plan.ts";
import { sizeText } from "../../archive/size-text.ts";
import { openBytes, scanFile, type FileBytes } from "./file-bytes.ts";
import type { ArchiveTurn } from "./large-archives.ts";
import type { LayerSource, Piece } from "./layer-source.ts";
import { layerStream, type LayerStream } from "./layer-stream.ts";

const MOST_MANIFEST_BYTES = 1024 * 1024;
/** Metadata of a million separate ranges of pages. */
const MOST_METADATA_BYTES = 64 * 1024 * 1024;
/** Segments that are read at once: whole ones, about 64 KiB. */
const SEGMENTS_BYTES = 2730 * SEGMENT_BYTES;

/** One container's changes in the four files of gVisor's `fscheckpoint`, checked. */
export interface Checkpoint extends AsyncDisposable {
  readonly runscVersion: string;
  readonly entries: readonly CheckpointEntry[];
  readonly source: LayerSource;
}

/**
 * Opens a folder that `runsc fscheckpoint` has filled and reads all of it but the pages. Throws an
 * `ArchiveFault` for everything that is not exactly as this release knows it.
 */
export async function readCheckpoint(
  folder: string,
  containerName: string,
  limits: LayerLimits,
  signal: AbortSignal,
  turn?: ArchiveTurn,
): Promise<Checkpoint> {
  await using files = new AsyncDisposableStack();
  const open = async (name: string): Promise<FileBytes> => files.use(await openBytes(folder, name));
  const manifest = await open("fscheckpoint.pb");
  const archives = await open("multitar.img");
  const metadata = await open("pages_meta.img");
  const pages = await open("pages.img");
  const sizes: CheckpointSizes = {
    archives: archives.sizeBytes,
    pagesMetadata: metadata.sizeBytes,
    pages: pages.sizeBytes,
  };
  const parts = readManifest(
    await readPart(manifest, 0, manifest.sizeBytes, MOST_MANIFEST_BYTES),
    containerName,
    sizes,
  );
  const { from, to } = parts.pagesMetadata;
  const memory = readMemoryMap(await readPart(metadata, from, to, MOST_METADATA_BYTES), parts.pages);
  const index = createCheckpointIndex(memory, limits);
  await scanFile(archives, parts.archive, index, { signal, onPiece: async () => turn?.fits(index.memoryBytes) });
  const entries = index.finish();
  const opened = files.move();
  return {
    runscVersion: parts.runscVersion,
    entries,
    source: checkpointSource(archives, parts.archive.from, memory, pages),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** The sorted layer of a checkpoint; refuses one above the limits before anything is written. */
export function writeLayer({ entries, source }: Checkpoint, limits: LayerLimits): LayerStream {
  return layerStream(planLayer(nodesOf(entries, 0), limits), [source]);
}

function checkpointSource(file: FileBytes, at: number, memory: MemoryMap, pages: FileBytes): LayerSource {
  const pieceOf = (run: MemoryRun): Piece => ({
    bytes: run.bytes,
    from: run.at === undefined ? undefined : { file: pages, at: run.at },
  });
  return {
    archive: { file, at },
    async *pieces(body) {
      const reader = createSegmentReader(body.sizeBytes, memory);
      for await (const segment of segmentsOf(body, file, at))
        for (const run of reader.runs(segment)) yield pieceOf(run);
      if (reader.rest() > 0) yield { bytes: reader.rest(), from: undefined };
    },
  };
}

async function* segmentsOf(body: CheckpointEntry, file: FileBytes, at: number): AsyncIterable<FileSegment> {
  if (body.segments !== undefined) {
    yield* body.segments;
    return;
  }
  for (let done = SIZE_BYTES; done < body.storedBytes; done += SEGMENTS_BYTES) {
    const bytes = await file.read(at + body.dataAt + done, Math.min(SEGMENTS_BYTES, body.storedBytes - done));
    for (let offset = 0; offset < bytes.length; offset += SEGMENT_BYTES) yield readSegment(bytes, offset);
  }
}

async function readPart(file: FileBytes, from: number, to: number, mostBytes: number): Promise<Uint8Array> {
  if (to - from > mostBytes)
    throw new ArchiveFault("too-large", `the checkpoint's metadata takes ${sizeText(to - from)}`);
  const bytes = new Uint8Array(to - from);
  await file.readInto(bytes, from);
  return bytes;
}
