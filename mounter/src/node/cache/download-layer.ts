import { createHash } from "node:crypto";
import type { Clock } from "#core/clock.ts";
import type { Quota } from "../../domain/quota.ts";
import { isSnapshotFault, SnapshotFault } from "../../domain/snapshot-fault.ts";
import type { ObjectStore, StoreCall } from "../../storage/port.ts";
import { hashFile, installLayer, keepPartial, removePartialFiles } from "./cache-files.ts";
import type { CacheIndex } from "./cache-index.ts";
import { partialPaths } from "./cache-paths.ts";
import type { Booking, CacheRoom } from "./cache-room.ts";
import type { ComingFile } from "./coming-file.ts";
import { downloadParts, isDiskFull } from "./download-parts.ts";

/** A layer of the store. Without a digest nothing is known of its bytes but that they are of this version. */
export type WantedLayer = { readonly key: string; readonly bytes: number } & (
  | { readonly digest: string; readonly version?: undefined }
  | { readonly version: string; readonly digest?: undefined }
);

export interface DownloadPorts {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly index: CacheIndex;
  readonly room: CacheRoom;
  /** What all downloads share. */
  readonly lanes: Quota;
  readonly config: { readonly dir: string; readonly partBytes: number; readonly lanes: { readonly each: number } };
}

export interface DownloadCall extends StoreCall {
  readonly onBytes: (doneBytes: number) => void;
  /** For those who read the layer before it is in the cache. */
  readonly coming: ComingFile;
}

export interface Download {
  readonly namespace: string;
  readonly layer: WantedLayer;
}

/** Names what is being downloaded: nothing else goes on with what is there of it. */
export function downloadId({ key, bytes, digest, version }: WantedLayer): string {
  return createHash("sha256")
    .update(JSON.stringify([key, bytes, digest ?? null, version ?? null]))
    .digest("hex");
}

/** Brings a layer into the cache, under the digest of its bytes, which is the answer. One call at a time for each id. */
export async function downloadLayer(ports: DownloadPorts, download: Download, call: DownloadCall): Promise<string> {
  const { index, room } = ports;
  const { namespace, layer } = download;
  const id = downloadId(layer);
  const version = await versionOf(ports.store, layer, call);
  await index.settled(namespace, id, true);
  const before = index.get(namespace, id, true);
  if (before !== undefined) index.takeOut(before);
  try {
    const booking = await room.book(layer.bytes, before?.bytes ?? 0);
    if (booking === undefined) throw full(layer);
    try {
      return await bring(ports, download, { id, version, booking }, call);
    } finally {
      booking.end();
    }
  } catch (error) {
    await leave(ports, { namespace, id, error });
    throw isDiskFull(error) ? full(layer, error) : error;
  }
}

interface Errand {
  readonly id: string;
  readonly version: string;
  readonly booking: Booking;
}

async function bring(ports: DownloadPorts, download: Download, errand: Errand, call: DownloadCall): Promise<string> {
  const { dir } = ports.config;
  const { namespace, layer } = download;
  const { id } = errand;
  for (let isAgain = false; ; isAgain = true) {
    const { isResumed, digest } = await bringBytes(ports, download, errand, call);
    if (digest === (layer.digest ?? digest)) {
      call.coming.finish();
      await install(ports, download, { id, digest });
      return digest;
    }
    await removePartialFiles(dir, namespace, id);
    // What an ended process left may not have reached the disk whole: that says nothing of the store.
    if (isAgain || !isResumed) throw other(layer, digest);
  }
}

/** Brings the layer and sums it up while it comes. */
async function bringBytes(
  ports: DownloadPorts,
  download: Download,
  errand: Errand,
  call: DownloadCall,
): Promise<{ readonly isResumed: boolean; readonly digest: string }> {
  const { signal, coming } = call;
  const { layer } = download;
  const { file } = partialPaths(ports.config.dir, download.namespace, errand.id);
  let summing: Promise<string> | undefined;
  const sumUp = async (): Promise<string> => {
    const digest = await digestOf(coming.pass(layer.bytes, signal));
    // Its readers need not wait until the disk has it too.
    if (digest === (layer.digest ?? digest)) coming.finish();
    else coming.fail(other(layer, digest));
    return digest;
  };
  const onBegin = async (isResumed: boolean): Promise<void> => {
    // Of what is there from before nobody knows whether it is right: nothing of it is read before all of it is.
    if (isResumed) return;
    await coming.begin(file);
    summing = sumUp();
    summing.catch(() => undefined);
  };
  try {
    const { isResumed } = await bringParts(ports, download, errand, { ...call, onBegin });
    return { isResumed, digest: (await summing) ?? `sha256:${await hashFile(file, signal)}` };
  } catch (error) {
    coming.fail(error);
    await summing?.catch(() => undefined);
    throw error;
  }
}

async function digestOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of source) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}

function other({ key, digest }: WantedLayer, found: string): SnapshotFault {
  return new SnapshotFault("damaged", `${key} has the digest ${found}, not ${digest}.`);
}

function bringParts(
  { store, index, lanes, config }: DownloadPorts,
  { namespace, layer }: Download,
  { id, version, booking }: Errand,
  { signal, onBytes, onBegin, coming }: DownloadCall & { readonly onBegin: (isResumed: boolean) => Promise<void> },
) {
  return downloadParts({
    store,
    object: { key: layer.key, version },
    bytes: layer.bytes,
    partBytes: config.partBytes,
    parallel: config.lanes.each,
    lanes,
    paths: partialPaths(config.dir, namespace, id),
    signal,
    onBegin,
    onFull: async (missingBytes, cause) => {
      if (!(await index.evict(missingBytes))) throw full(layer, cause);
    },
    onBytes: (doneBytes) => {
      booking.leftBytes = layer.bytes - doneBytes;
      onBytes(doneBytes);
    },
    onWhole: (wholeBytes) => {
      if (coming.isBegun) coming.grow(wholeBytes);
    },
  });
}

async function install(
  { clock, index, config: { dir } }: DownloadPorts,
  { namespace, layer }: Download,
  { id, digest }: { readonly id: string; readonly digest: string },
): Promise<void> {
  const hex = digest.slice("sha256:".length);
  await index.settled(namespace, hex, false);
  if (index.get(namespace, hex, false) === undefined) {
    const file = { namespace, id: hex, bytes: layer.bytes, lastUsedAtMs: clock.now() };
    await installLayer(partialPaths(dir, namespace, id).file, dir, file);
    index.add(file, false);
  }
  await removePartialFiles(dir, namespace, id);
}

/** What is there of a download that failed is taken up by the next one, unless it is known to be of no use. */
async function leave(
  { index, config: { dir } }: DownloadPorts,
  { namespace, id, error }: { readonly namespace: string; readonly id: string; readonly error: unknown },
): Promise<void> {
  const isUseless = isSnapshotFault(error, "damaged") || isSnapshotFault(error, "full") || isDiskFull(error);
  if (isUseless) return removePartialFiles(dir, namespace, id);
  const left = await keepPartial(dir, namespace, id);
  if (left !== undefined) index.add(left, true);
}

async function versionOf(
  store: ObjectStore,
  { key, bytes, version }: WantedLayer,
  { signal }: StoreCall,
): Promise<string> {
  if (version !== undefined) return version;
  const object = await store.stat(key, { signal });
  if (object.sizeBytes === bytes) return object.version;
  throw new SnapshotFault("damaged", `${key} has ${object.sizeBytes} bytes, not ${bytes}.`);
}

function full({ key, bytes }: WantedLayer, cause?: unknown): SnapshotFault {
  const options = cause === undefined ? undefined : { cause };
  return new SnapshotFault("full", `There is no room on this node for the ${bytes} bytes of ${key}.`, options);
}
