import { join } from "node:path";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import type { Archive, LayerSource, StoredLayer } from "../../domain/archive.ts";
import { storedFile } from "../../node/archive/stored-file.ts";
import { writeChunks } from "../../node/archive/write-chunks.ts";
import { packLayer } from "../../node/archive/zstd.ts";
import { areSound } from "../../node/cache/are-sound.ts";
import type { WantedLayer } from "../../node/cache/download-layer.ts";
import type { HeldLayer, LayerCache } from "../../node/cache/layer-cache.ts";
import { publishSnapshot, type PublishCall, type Published } from "../../node/snapshot/publish-snapshot.ts";
import type { CheckpointFiles, WriteCheckpointPorts } from "../../node/snapshot/write-checkpoint.ts";
import type { Staging } from "../../node/staging.ts";

/** A layer that the container stood on; without sums it is an archive as it is. */
export type GroundLayer = WantedLayer & Pick<StoredLayer, "sums"> & { readonly tarBytes: number };

export interface WriteWholePorts extends WriteCheckpointPorts {
  readonly archive: Archive;
  readonly cache: Pick<LayerCache, "hold" | "recheck">;
  readonly staging: Pick<Staging, "take">;
}

type WholeOrder = Omit<CheckpointFiles, "below"> & { readonly ground: readonly GroundLayer[] };

/**
 * Makes a snapshot of a checkpoint and of all that it stands on, as one layer. Takes more disk and time
 * than a layer on top of others, for what cannot stand so: too many of them, an archive without a
 * manifest, or layers that the store keeps no longer.
 */
export async function writeWhole(ports: WriteWholePorts, order: WholeOrder, call: PublishCall): Promise<Published> {
  try {
    return await writeOnce(ports, order, call);
  } catch (error) {
    const { ground, facts } = order;
    if (!(error instanceof ArchiveFault) || (await areSound(ports.cache, facts.namespace, ground, call))) throw error;
    return writeOnce(ports, order, call);
  }
}

async function writeOnce(
  ports: WriteWholePorts,
  { ground, ...checkpoint }: WholeOrder,
  call: PublishCall,
): Promise<Published> {
  const { archive, cache, staging } = ports;
  const { folder, checkpointName, facts, mostTarBytes, warnings = [] } = checkpoint;
  const { signal } = call;
  call.onProgress?.({ phase: "Packing", bytesDone: 0 });
  await using held = new HeldLayers();
  for (const layer of ground) held.add(await cache.hold(facts.namespace, layer, { signal }));
  await using taken = await archive.take(folder, { containerName: checkpointName, mostTarBytes }, signal);
  const tarBytes = ground.reduce((sum, layer) => sum + layer.tarBytes, taken.tarBytes);
  // All layers unpacked, what they become together, and the new one packed.
  const place = await staging.take(3 * tarBytes, { signal });
  try {
    const added = join(place.dir, "added.tar.zst");
    const packed = taken.open(signal);
    await writeChunks(packed.chunks, added, { signal });
    const below = ground.map(({ sums }, index) => storedFile(held.pathOf(index), sums));
    const layers = [...below, storedFile(added, packed.sums())];
    const target = join(place.dir, "whole.tar");
    const { entries } = await archive.merge({ layers, scratch: place.dir, target, mostTarBytes }, signal);
    const said = {
      ...facts,
      runtime: { name: "runsc" as const, version: taken.runscVersion },
      warnings: [...warnings, ...taken.warnings],
    };
    return await publishSnapshot(ports, { facts: said, below: [], layer: layerOfFile(target, entries) }, call);
  } finally {
    await place.remove();
  }
}

class HeldLayers implements AsyncDisposable {
  readonly #held: HeldLayer[] = [];

  add(layer: HeldLayer): void {
    this.#held.push(layer);
  }

  pathOf(index: number): string {
    return this.#held[index]?.path ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const layer of this.#held) layer.release();
  }
}

function layerOfFile(path: string, entries: number): LayerSource {
  return { entries, open: (signal) => packLayer(storedFile(path).open(signal)) };
}
