import { layersNamed, MAX_MANIFEST_BYTES, readManifest } from "#core/snapshot/read-manifest.ts";
import { manifestKey } from "#core/snapshot/snapshot-keys.ts";
import type { Standing } from "../../domain/write-order.ts";
import type { ObjectStore, StoreCall } from "../../storage/port.ts";
import { isStoreError } from "../../storage/store-error.ts";
import type { SnapshotPlace } from "./snapshot-place.ts";

/** What stands under a snapshot's name. */
export async function readStanding(store: ObjectStore, place: SnapshotPlace, call: StoreCall): Promise<Standing> {
  const key = manifestKey(place.namespace, place.name);
  try {
    const { object, bytes } = await store.get(key, MAX_MANIFEST_BYTES, call);
    const { version } = object;
    const text = new TextDecoder().decode(bytes);
    const read = readManifest(text, place);
    if (read.kind === "manifest") return { kind: "manifest", manifest: read.manifest, version };
    const names = layersNamed(text);
    return { kind: "unreadable", fault: read.fault, version, ...(names === undefined ? {} : { names }) };
  } catch (error) {
    if (isStoreError(error, "absent")) return { kind: "none" };
    return unlessReadable(store, key, error, call);
  }
}

/** What is larger than any manifest is not read, and no time makes it smaller. Throws any other fault of the reading. */
async function unlessReadable(store: ObjectStore, key: string, error: unknown, call: StoreCall): Promise<Standing> {
  if (!isStoreError(error, "invalid")) throw error;
  const found = await store.stat(key, call).catch((cause: unknown) => {
    if (isStoreError(cause, "absent")) return undefined;
    throw cause;
  });
  if (found === undefined) return { kind: "none" };
  const { sizeBytes, version } = found;
  if (sizeBytes <= MAX_MANIFEST_BYTES) throw error;
  const fault = `its manifest has ${sizeBytes} bytes, and the most that one has are ${MAX_MANIFEST_BYTES}`;
  return { kind: "unreadable", fault, version };
}
