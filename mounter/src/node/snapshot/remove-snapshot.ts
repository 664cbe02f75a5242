import { manifestKey } from "#core/snapshot/snapshot-keys.ts";
import { SnapshotFault } from "../../domain/snapshot-fault.ts";
import type { ObjectStore, StoreCall } from "../../storage/port.ts";
import { isStoreError } from "../../storage/store-error.ts";
import { readStanding } from "./read-standing.ts";
import { placeText, type SnapshotPlace } from "./snapshot-place.ts";

const MOST_ROUNDS = 16;

/** `other` = the name means another write, or something that cannot be read: it stays. */
export type Removed = "removed" | "absent" | "other";

/** Removes a snapshot if this write made it. From then on the name means nothing; its layers, which others may name, are the collector's. */
export async function removeSnapshot(
  store: ObjectStore,
  place: SnapshotPlace & { readonly writeId: string },
  call: StoreCall,
): Promise<Removed> {
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const standing = await readStanding(store, place, call);
    if (standing.kind === "none") return "absent";
    if (standing.kind === "unreadable" || standing.manifest.writeId !== place.writeId) return "other";
    try {
      await store.remove(manifestKey(place.namespace, place.name), { version: standing.version }, call);
      return "removed";
    } catch (error) {
      if (!isStoreError(error, "changed")) throw error;
    }
  }
  throw new SnapshotFault("changing", `The snapshot ${placeText(place)} is written by others all the time.`);
}
