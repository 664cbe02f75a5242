import { MAX_MANIFEST_BYTES, readManifest } from "#core/snapshot/read-manifest.ts";
import { manifestKey } from "#core/snapshot/snapshot-keys.ts";
import type { Standing } from "../../domain/write-order.ts";
import type { ObjectStore, StoreCall } from "../../storage/port.ts";
import { isStoreError } from "../../storage/store-error.ts";
import type { SnapshotPlace } from "./snapshot-place.ts";

/** What stands under a snapshot's name. */
export async function readStanding(store: ObjectStore, place: SnapshotPlace, call: StoreCall): Promise<Standing> {
  const found = await getManifest(store, place, call);
  if (found === undefined) return { kind: "none" };
  const { version } = found.object;
  const read = readManifest(new TextDecoder().decode(found.bytes), place);
  if (read.kind === "fault") return { kind: "unreadable", fault: read.fault, version };
  return { kind: "manifest", manifest: read.manifest, version };
}

async function getManifest(store: ObjectStore, { namespace, name }: SnapshotPlace, call: StoreCall) {
  try {
    return await store.get(manifestKey(namespace, name), MAX_MANIFEST_BYTES, call);
  } catch (error) {
    if (isStoreError(error, "absent")) return undefined;
    throw error;
  }
}
