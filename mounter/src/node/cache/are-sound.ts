import type { StoreCall } from "../../storage/port.ts";
import type { WantedLayer } from "./download-layer.ts";
import type { LayerCache } from "./layer-cache.ts";

/**
 * Whether all of these layers lie here as their digests say. Those that do not are gone then: a disk may
 * have forgotten what it had, which says nothing of the snapshot.
 */
export async function areSound(
  cache: Pick<LayerCache, "recheck">,
  namespace: string,
  layers: readonly WantedLayer[],
  { signal }: StoreCall,
): Promise<boolean> {
  const sound = await Promise.all(layers.map((layer) => cache.recheck(namespace, layer, { signal })));
  return sound.every(Boolean);
}
