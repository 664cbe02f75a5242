import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import { isSnapshotFault, SnapshotFault } from "../../domain/snapshot-fault.ts";
import type { StoreCall } from "../../storage/port.ts";
import { isStoreError } from "../../storage/store-error.ts";
import { areSound } from "../cache/are-sound.ts";
import type { WantedLayer } from "../cache/download-layer.ts";
import type { HeldLayer, LayerCache } from "../cache/layer-cache.ts";
import { findSnapshot, type FoundSnapshot } from "./find-snapshot.ts";
import { placeText, type SnapshotPlace, type SnapshotPorts } from "./snapshot-place.ts";

const MOST_ROUNDS = 5;

export interface FetchPorts extends Pick<SnapshotPorts, "store"> {
  readonly cache: Pick<LayerCache, "hold" | "recheck">;
}

export interface FetchCall extends StoreCall {
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /**
   * What is done with a snapshot while it comes, anew with each that is found. It counts only when all layers
   * are there; what it throws of damage is told only of bytes that are those of the snapshot.
   */
  readonly meanwhile?: (coming: BroughtSnapshot, signal: AbortSignal) => Promise<void>;
}

/** A snapshot on its way to this node. */
export interface ComingSnapshot {
  readonly manifest?: SnapshotManifest;
  /** Bottom first. */
  readonly layers: readonly WantedLayer[];
}

/** The same, with the moment from which it lies on this node's disk and stays there. */
export interface BroughtSnapshot extends ComingSnapshot {
  readonly untilWhole: () => Promise<void>;
}

/** A snapshot whose layers lie on this node's disk, and stay there until it is released. */
export interface FetchedSnapshot {
  /** Absent for an archive that another program wrote. */
  readonly manifest?: SnapshotManifest;
  /** Bottom first. */
  readonly layers: readonly HeldLayer[];
  release(): void;
}

/** Brings a snapshot to this node. One that is replaced or removed meanwhile is looked for anew: layers of two never mix. */
export async function fetchSnapshot(
  { store, cache }: FetchPorts,
  place: SnapshotPlace,
  call: FetchCall,
): Promise<FetchedSnapshot> {
  let found = await findSnapshot(store, place, call);
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const coming = comingOf(found);
    try {
      const layers = await bring(cache, place.namespace, coming, call);
      const release = (): void => layers.forEach((layer) => layer.release());
      return { ...coming, layers, release };
    } catch (error) {
      if (error instanceof ArchiveFault && !(await areSound(cache, place.namespace, coming.layers, call))) continue;
      if (!mayBeOld(error)) throw error;
      const now = await findSnapshot(store, place, call);
      if (now.version === found.version && now.kind === found.kind) throw damaged(place, error);
      found = now;
    }
  }
  throw new SnapshotFault("changing", `The snapshot ${placeText(place)} is replaced faster than it can be read.`);
}

function comingOf(found: FoundSnapshot): ComingSnapshot {
  if (found.kind === "manifest") return { manifest: found.manifest, layers: found.manifest.layers };
  const { key, version, sizeBytes } = found.object;
  return { layers: [{ key, version, bytes: sizeBytes }] };
}

/** Brings all layers, and does meanwhile what is to be done with them. */
async function bring(
  cache: FetchPorts["cache"],
  namespace: string,
  coming: ComingSnapshot,
  { signal, onProgress, meanwhile }: FetchCall,
): Promise<readonly HeldLayer[]> {
  const end = new AbortController();
  const limited = AbortSignal.any([signal, end.signal]);
  const call = { signal: limited, ...(onProgress && { onProgress }) };
  const hold = holdAll(cache, namespace, coming.layers, call);
  hold.catch((error: unknown) => end.abort(error));
  const untilWhole = async (): Promise<void> => void (await hold);
  const work = async (): Promise<void> => {
    try {
      await meanwhile?.({ ...coming, untilWhole }, limited);
    } catch (error) {
      // Whether the bytes are those of the snapshot, or the fault is theirs who sent them, the digests tell.
      if (!(error instanceof ArchiveFault)) end.abort(error);
      throw error;
    }
  };
  const [held, worked] = await Promise.allSettled([hold, work()]);
  if (held.status === "rejected") throw held.reason;
  if (worked.status === "fulfilled") return held.value;
  held.value.forEach((layer) => layer.release());
  throw worked.reason;
}

/** All layers or none: what is held when one fails is let go. */
async function holdAll(
  cache: FetchPorts["cache"],
  namespace: string,
  wanted: readonly WantedLayer[],
  { signal, onProgress }: Omit<FetchCall, "meanwhile">,
): Promise<readonly HeldLayer[]> {
  const end = new AbortController();
  const onAbort = (): void => end.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener("abort", onAbort, { once: true });
  const done = wanted.map(() => 0);
  const totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  const hold = async (layer: WantedLayer, index: number): Promise<HeldLayer> => {
    const tell = (doneBytes: number): void => {
      done[index] = doneBytes;
      onProgress?.(
        done.reduce((sum, bytes) => sum + bytes, 0),
        totalBytes,
      );
    };
    try {
      return await cache.hold(namespace, layer, { signal: end.signal, onProgress: tell });
    } catch (error) {
      end.abort(error);
      throw error;
    }
  };
  const outcomes = await Promise.allSettled(wanted.map(hold));
  signal.removeEventListener("abort", onAbort);
  const held = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  if (held.length === wanted.length) return held;
  held.forEach((layer) => layer.release());
  throw end.signal.reason;
}

/** What also comes of a snapshot that was replaced or removed after its manifest was read. */
function mayBeOld(error: unknown): boolean {
  return isStoreError(error, "absent") || isStoreError(error, "changed") || isSnapshotFault(error, "damaged");
}

function damaged(place: SnapshotPlace, error: unknown): SnapshotFault {
  if (isSnapshotFault(error, "damaged")) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new SnapshotFault("damaged", `The snapshot ${placeText(place)} is not whole: ${why}`, { cause: error });
}
