import { createHash } from "node:crypto";
import { layerKey } from "#core/snapshot/snapshot-keys.ts";
import type { LayerEntry, LayerSource } from "../../domain/archive.ts";
import { SnapshotFault } from "../../domain/snapshot-fault.ts";
import type { ObjectStore, StoreCall } from "../../storage/port.ts";
import type { SnapshotPlace } from "./snapshot-place.ts";

export interface StoreLayerCall extends StoreCall {
  readonly onBytes: (doneBytes: number) => void;
}

/** A layer in the store, and which version of its object was written. */
export interface StoredEntry {
  readonly entry: LayerEntry;
  readonly version: string;
}

/**
 * Uploads a layer under a key that nobody else ever writes: whoever tries the same write again does it
 * under another one, so what a manifest names is never written over.
 */
export async function uploadLayer(
  store: ObjectStore,
  {
    place,
    attemptId,
    layer,
  }: { readonly place: SnapshotPlace; readonly attemptId: string; readonly layer: LayerSource },
  { onBytes, ...call }: StoreLayerCall,
): Promise<StoredEntry> {
  const key = layerKey(place.namespace, place.name, attemptId);
  const packed = layer.open(call.signal);
  const options = { condition: { kind: "absent" }, onProgress: onBytes } as const;
  const written = await store.upload(key, packed.chunks, options, call);
  const sums = packed.sums();
  if (written.sizeBytes !== sums.bytes)
    throw wrong(key, `it has ${written.sizeBytes} bytes, and ${sums.bytes} were sent`);
  return { entry: { key, ...sums, entries: layer.entries }, version: written.version };
}

/**
 * Whether the store has what was sent. It has checked a checksum of every part, so that its word for
 * version and size is enough, unless its owner wants more.
 */
export async function verifyLayer(store: ObjectStore, stored: StoredEntry, call: StoreLayerCall): Promise<void> {
  const { key, bytes } = stored.entry;
  if (store.readsBack) return readBack(store, stored, call);
  const found = await store.stat(key, call);
  if (found.version !== stored.version || found.sizeBytes !== bytes)
    throw wrong(
      key,
      `it has ${found.sizeBytes} bytes in version ${found.version}, not ${bytes} in version ${stored.version}`,
    );
  call.onBytes(bytes);
}

/** No store says the SHA-256 of an object that came in parts. */
async function readBack(
  store: ObjectStore,
  { entry, version }: StoredEntry,
  { onBytes, ...call }: StoreLayerCall,
): Promise<void> {
  const { key, bytes, digest } = entry;
  const hash = createHash("sha256");
  let readBytes = 0;
  for await (const chunk of store.read({ key, version }, { offset: 0, sizeBytes: bytes }, call)) {
    hash.update(chunk);
    readBytes += chunk.length;
    onBytes(readBytes);
  }
  const found = `sha256:${hash.digest("hex")}`;
  if (readBytes !== bytes || found !== digest) throw wrong(key, `it has the digest ${found}, not ${digest}`);
}

function wrong(key: string, what: string): SnapshotFault {
  return new SnapshotFault("damaged", `The store did not keep ${key} as it was sent: ${what}.`);
}
