import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MounterAnswer, MounterAsk, RawLayer } from "#api/mounter-channel.ts";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import { layerLimits } from "../../archive/layer-limits.ts";
import type { LayerEntry } from "../../domain/archive.ts";
import type { Recent } from "../../domain/recent.ts";
import { SnapshotFault } from "../../domain/snapshot-fault.ts";
import { checkLayer } from "../../node/archive/check-layer.ts";
import type { LargeArchives } from "../../node/archive/large-archives.ts";
import { storedFile } from "../../node/archive/stored-file.ts";
import { writeChunks } from "../../node/archive/write-chunks.ts";
import { unpackLayer } from "../../node/archive/zstd.ts";
import { areSound } from "../../node/cache/are-sound.ts";
import type { LayerCache } from "../../node/cache/layer-cache.ts";
import { restoreFault } from "../../node/restore/restore-reason.ts";
import type { Staging } from "../../node/staging.ts";
import { StoreError } from "../../storage/store-error.ts";
import { makePipe, writePipe } from "./write-pipe.ts";

export interface HoldPorts {
  readonly large: LargeArchives;
  readonly cache: Pick<LayerCache, "hold" | "read" | "recheck">;
  readonly staging: Pick<Staging, "take">;
  /** Digests of archives without a manifest that were found good. */
  readonly sound: Recent<true>;
  /** Most bytes of such an archive. */
  readonly mostTarBytes: number;
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
  { namespace, layer, isReadOnce = false }: MounterAsk<"hold">,
  call: HoldCall,
): Promise<HeldTar> {
  const { cache } = ports;
  try {
    return "digest" in layer
      ? await unpacked(ports, { namespace, layer, isReadOnce }, call)
      : await judged(ports, namespace, layer, call);
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error;
    // Whether the bytes are those of the snapshot, or the fault is theirs who sent them, the digest tells.
    (await cache.hold(namespace, layer, call)).release();
    if (await areSound(cache, namespace, [layer], call))
      throw new SnapshotFault("damaged", restoreFault(error).message, { cause: error });
    // Others may have read what was wrong: they ask again.
    throw new StoreError("unavailable", `${layer.key} was not kept well on this machine; it is brought anew.`);
  }
}

/** An archive without a manifest is what its bytes say: good once, it is good as long as it has this digest. */
async function judged(
  { cache, large, sound, mostTarBytes }: HoldPorts,
  namespace: string,
  layer: RawLayer,
  call: HoldCall,
): Promise<HeldTar> {
  const { path, digest, bytes, release } = await cache.hold(namespace, layer, call);
  try {
    if (sound.get(digest) === undefined) {
      using turn = large.enter(call.signal);
      const { chunks } = checkLayer(storedFile(path).open(call.signal), layerLimits(mostTarBytes), turn);
      for await (const _ of chunks);
      sound.set(digest, true);
    }
    return { answer: { path, tarDigest: digest, tarBytes: bytes }, release: async () => release() };
  } catch (error) {
    release();
    throw error;
  }
}

async function unpacked(
  { cache, staging, large }: HoldPorts,
  {
    namespace,
    layer,
    isReadOnce,
  }: { readonly namespace: string; readonly layer: LayerEntry; readonly isReadOnce: boolean },
  call: HoldCall,
): Promise<HeldTar> {
  const { signal } = call;
  const { tarDigest, tarBytes } = layer;
  const place = await staging.take(isReadOnce ? 0 : tarBytes, { signal });
  try {
    const path = join(place.dir, "layer.tar");
    await (isReadOnce ? makePipe(path) : writeFile(path, "", { mode: 0o600 }));
    const answer = { path, tarDigest, tarBytes };
    call.onPlaced?.(answer);
    const untilWhole = async (): Promise<void> => (await cache.hold(namespace, layer, { signal })).release();
    using turn = large.enter(signal, untilWhole);
    const checked = checkLayer(unpackLayer(cache.read(namespace, layer, call), layer), layerLimits(tarBytes), turn);
    await (isReadOnce ? writePipe : writeChunks)(checked.chunks, path, { signal });
    return { answer, release: () => place.remove() };
  } catch (error) {
    await place.remove();
    throw error;
  }
}
