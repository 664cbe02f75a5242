import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { rawKey } from "#core/snapshot/snapshot-keys.ts";
import { SnapshotFault } from "../../domain/snapshot-fault.ts";
import type { ObjectStore, StoreCall, StoredObject } from "../../storage/port.ts";
import { isStoreError } from "../../storage/store-error.ts";
import { readStanding } from "./read-standing.ts";
import { placeText, type SnapshotPlace } from "./snapshot-place.ts";

export type FoundSnapshot =
  | { readonly kind: "manifest"; readonly manifest: SnapshotManifest; readonly version: string }
  /** An archive that another program wrote: nothing is known of it but its size. */
  | { readonly kind: "raw"; readonly object: StoredObject; readonly version: string };

/** What a snapshot's name means now; `absent` when nothing. An archive without a manifest counts only where there is no manifest at all. */
export async function findSnapshot(store: ObjectStore, place: SnapshotPlace, call: StoreCall): Promise<FoundSnapshot> {
  const standing = await readStanding(store, place, call);
  if (standing.kind === "manifest") return standing;
  if (standing.kind === "unreadable")
    throw new SnapshotFault("damaged", `The snapshot ${placeText(place)} cannot be used: ${standing.fault}.`);
  try {
    const object = await store.stat(rawKey(place.namespace, place.name), call);
    return { kind: "raw", object, version: object.version };
  } catch (error) {
    if (!isStoreError(error, "absent")) throw error;
    throw new SnapshotFault("absent", `There is no snapshot ${placeText(place)}.`, { cause: error });
  }
}
