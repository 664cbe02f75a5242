import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { layerLimits, type LayerLimits } from "../../archive/layer-limits.ts";
import type { Archive, LayerSums, MergedTar, MergeRequest, StoredLayer } from "../../domain/archive.ts";
import { checkLayer } from "./check-layer.ts";
import { summing } from "./digest.ts";
import { createLargeArchives, type ArchiveTurn } from "./large-archives.ts";
import { mergeLayers } from "./merge-layers.ts";
import { readCheckpoint, writeLayer } from "./read-checkpoint.ts";
import { writeChunks } from "./write-chunks.ts";
import { packLayer, unpackLayer } from "./zstd.ts";

/** The archive port over files of this machine; archives of more entries than `smallBytes` of memory hold come one after the other. */
export function createArchive({ smallBytes }: { readonly smallBytes?: number } = {}): Archive {
  // Two: what has been taken may be merged with others before it is let go.
  const [taken, merged] = [createLargeArchives(smallBytes), createLargeArchives(smallBytes)];
  return {
    async take(folder, { containerName, mostTarBytes }, signal) {
      const limits = layerLimits(mostTarBytes);
      await using checkpoint = new AsyncDisposableStack();
      const turn = checkpoint.use(taken.enter(signal));
      const read = checkpoint.use(await readCheckpoint(folder, containerName, limits, signal, turn));
      const layer = writeLayer(read, limits);
      const opened = checkpoint.move();
      return {
        ...layer.facts,
        runscVersion: read.runscVersion,
        open: (signal) => packLayer(layer.chunks(signal)),
        [Symbol.asyncDispose]: () => opened.disposeAsync(),
      };
    },
    async merge(request, signal) {
      using turn = merged.enter(signal, request.untilWhole);
      return await mergeStored(request, { signal, turn });
    },
  };
}

interface Call {
  readonly signal: AbortSignal;
  readonly turn: ArchiveTurn;
}

async function mergeStored(request: MergeRequest, call: Call): Promise<MergedTar> {
  const { signal } = call;
  const { layers, scratch, target, mostTarBytes } = request;
  const limits = layerLimits(mostTarBytes);
  const [only, ...others] = layers;
  if (only?.sums !== undefined && others.length === 0)
    return unpackOnly(only, only.sums, { scratch, target, limits, call });
  const unpacked = layers.map((_, index) => join(scratch, `${index}.tar`));
  const part = join(scratch, "merged.tar");
  try {
    for (const [index, layer] of layers.entries()) await unpack(layer, unpacked[index] ?? part, limits, call);
    await using merged = await mergeLayers(unpacked, limits, signal, call.turn);
    const tar = summing(merged.chunks(signal));
    await writeChunks(tar.chunks, part, { signal, isDurable: true });
    await rename(part, target);
    const { digest, bytes } = tar.sum();
    return { path: target, tarBytes: bytes, tarDigest: digest, entries: merged.facts.entries };
  } finally {
    for (const path of [...unpacked, part]) await rm(path, { force: true });
  }
}

/** One layer is what it is: checked, it need not be written twice. */
async function unpackOnly(
  layer: StoredLayer,
  { tarBytes, tarDigest }: LayerSums,
  to: { readonly scratch: string; readonly target: string; readonly limits: LayerLimits; readonly call: Call },
): Promise<MergedTar> {
  const part = join(to.scratch, "only.tar");
  try {
    // On the disk before it gets its name: a restore has nothing to tell half an archive by.
    const entries = await unpack(layer, part, to.limits, { ...to.call, isDurable: true });
    await rename(part, to.target);
    return { path: to.target, tarBytes, tarDigest, entries };
  } finally {
    await rm(part, { force: true });
  }
}

async function unpack(
  { sums, open: read }: StoredLayer,
  target: string,
  limits: LayerLimits,
  { signal, turn, isDurable = false }: Call & { readonly isDurable?: boolean },
): Promise<number> {
  const stored = read(signal);
  const tar = sums === undefined ? stored : unpackLayer(stored, sums);
  const checked = checkLayer(tar, limits, turn);
  await writeChunks(checked.chunks, target, { signal, isDurable });
  return checked.facts().entries;
}
