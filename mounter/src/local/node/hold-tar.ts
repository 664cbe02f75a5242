import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MounterAnswer, MounterAsk } from "#api/mounter-channel.ts";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import { layerLimits } from "../../archive/layer-limits.ts";
import type { LayerEntry } from "../../domain/archive.ts";
import { checkLayer } from "../../node/archive/check-layer.ts";
import type { LargeArchives } from "../../node/archive/large-archives.ts";
import { writeChunks } from "../../node/archive/write-chunks.ts";
import { unpackLayer } from "../../node/archive/zstd.ts";
import { areSound } from "../../node/cache/are-sound.ts";
import type { LayerCache } from "../../node/cache/layer-cache.ts";
import type { Staging } from "../../node/staging.ts";
import { StoreError } from "../../storage/store-error.ts";

export interface HoldPorts {
  readonly large: LargeArchives;
  readonly cache: Pick<LayerCache, "hold" | "read" | "recheck">;
  readonly staging: Pick<Staging, "take">;
}

export interface HoldCall {
  readonly signal: AbortSignal;
  readonly onProgress?: (doneBytes: number) => void;
  /** Told once, when what it is about to be is known, and before any of it is good. */
  readonly onPlaced?: (archive: MounterAnswer<"hold">) => void;
}

/** An archive on the disk, until it is let go. */
export interface HeldTar {
  readonly answer: MounterAnswer<"hold">;
  release(): Promise<void>;
}

/** Brings a layer of the store to the disk as the archive that it holds, unpacked and checked from end to end while it comes. */
export async function holdTar(
  ports: HoldPorts,
  { namespace, layer }: MounterAsk<"hold">,
  call: HoldCall,
): Promise<HeldTar> {
  const { cache } = ports;
  if (!("digest" in layer)) {
    const held = await cache.hold(namespace, layer, call);
    // It is an archive as it is; who reads it checks it.
    const answer = { path: held.path, tarDigest: held.digest, tarBytes: held.bytes };
    return { answer, release: async () => held.release() };
  }
  try {
    return await unpacked(ports, namespace, layer, call);
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error;
    // Whether the bytes are those of the snapshot, or the fault is theirs who sent them, the digest tells.
    (await cache.hold(namespace, layer, call)).release();
    if (await areSound(cache, namespace, [layer], call)) throw error;
    // Others may have read what was wrong: they ask again.
    throw new StoreError("unavailable", `${layer.key} was not kept well on this machine; it is brought anew.`);
  }
}

async function unpacked(
  { cache, staging, large }: HoldPorts,
  namespace: string,
  layer: LayerEntry,
  call: HoldCall,
): Promise<HeldTar> {
  const { signal } = call;
  const { tarDigest, tarBytes } = layer;
  const place = await staging.take(tarBytes, { signal });
  try {
    const path = join(place.dir, "layer.tar");
    await writeFile(path, "", { mode: 0o600 });
    const answer = { path, tarDigest, tarBytes };
    call.onPlaced?.(answer);
    using turn = large.enter(signal);
    const checked = checkLayer(unpackLayer(cache.read(namespace, layer, call), layer), layerLimits(tarBytes), turn);
    await writeChunks(checked.chunks, path, { signal });
    return { answer, release: () => place.remove() };
  } catch (error) {
    await place.remove();
    throw error;
  }
}
