import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { MounterAnswer, MounterAsk } from "#api/mounter-channel.ts";
import { layerLimits } from "../../archive/layer-limits.ts";
import { checkLayer } from "../../node/archive/check-layer.ts";
import type { LargeArchives } from "../../node/archive/large-archives.ts";
import { unpackLayer } from "../../node/archive/zstd.ts";
import type { LayerCache } from "../../node/cache/layer-cache.ts";
import type { Staging } from "../../node/staging.ts";

const READ_BYTES = 1024 * 1024;

export interface HoldPorts {
  readonly large: LargeArchives;
  readonly cache: Pick<LayerCache, "hold">;
  readonly staging: Pick<Staging, "take">;
}

export interface HoldCall {
  readonly signal: AbortSignal;
  readonly onProgress?: (doneBytes: number) => void;
}

/** An archive on the disk, until it is let go. */
export interface HeldTar {
  readonly answer: MounterAnswer<"hold">;
  release(): Promise<void>;
}

/** Brings a layer of the store to the disk as the archive that it holds, checked from end to end. */
export async function holdTar(
  { cache, staging, large }: HoldPorts,
  { namespace, layer }: MounterAsk<"hold">,
  call: HoldCall,
): Promise<HeldTar> {
  const { signal } = call;
  const held = await cache.hold(namespace, layer, call);
  if (!("digest" in layer)) {
    // It is an archive as it is; who reads it checks it.
    const answer = { path: held.path, tarDigest: held.digest, tarBytes: held.bytes };
    return { answer, release: async () => held.release() };
  }
  try {
    const place = await staging.take(layer.tarBytes, { signal });
    try {
      const path = join(place.dir, "layer.tar");
      const tar = unpackLayer(createReadStream(held.path, { highWaterMark: READ_BYTES, signal }), layer);
      using turn = large.enter(signal);
      const checked = checkLayer(tar, layerLimits(layer.tarBytes), turn);
      await pipeline(checked.chunks, createWriteStream(path, { mode: 0o600 }), { signal });
      const { tarDigest, tarBytes } = layer;
      return { answer: { path, tarDigest, tarBytes }, release: () => place.remove() };
    } catch (error) {
      await place.remove();
      throw error;
    }
  } finally {
    held.release();
  }
}
