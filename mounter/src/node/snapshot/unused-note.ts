import { parseSnapshotKey } from "#core/snapshot/snapshot-keys.ts";
import type { ObjectStore, StoreCall } from "../../storage/port.ts";
import { isStoreError } from "../../storage/store-error.ts";

const SUFFIX = ".unused";

/** Key of the note that no manifest names a layer; its time is the store's. */
export function unusedNoteKey(layerKey: string): string {
  return `${layerKey}${SUFFIX}`;
}

/** The layer that a note is about; undefined for what is no note. */
export function layerOfNote(key: string): string | undefined {
  const layerKey = key.endsWith(SUFFIX) ? key.slice(0, -SUFFIX.length) : "";
  return parseSnapshotKey(layerKey)?.kind === "layer" ? layerKey : undefined;
}

/** Whether there is an object of this key, and how large it is. */
export async function sizeIfThere(store: ObjectStore, key: string, call: StoreCall): Promise<number | undefined> {
  try {
    return (await store.stat(key, call)).sizeBytes;
  } catch (error) {
    if (isStoreError(error, "absent")) return undefined;
    throw error;
  }
}
