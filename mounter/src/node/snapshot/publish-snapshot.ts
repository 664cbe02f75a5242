import { SNAPSHOT_FORMAT_VERSION, SnapshotManifest } from "#api/snapshot-manifest.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import { withDeadline, type Deadline } from "#core/deadline.ts";
import { manifestKey } from "#core/snapshot/snapshot-keys.ts";
import type { LayerEntry, LayerSource } from "../../domain/archive.ts";
import { SnapshotFault } from "../../domain/snapshot-fault.ts";
import { decideWrite, type WriteDecision } from "../../domain/write-order.ts";
import type { PutCondition, StoreCall } from "../../storage/port.ts";
import { isStoreError, StoreError } from "../../storage/store-error.ts";
import { readStanding } from "./read-standing.ts";
import { placeText, type SnapshotPorts } from "./snapshot-place.ts";
import { snapshotFailure } from "./snapshot-reason.ts";
import { uploadLayer, verifyLayer, type StoredEntry } from "./store-layer.ts";
import { sizeIfThere, unusedNoteKey } from "./unused-note.ts";

/** Longest time from the end of the upload to the manifest; collectors wait longer than this. */
export const SETTLE_MS = 30 * 60_000;
const REMOVAL_MS = 30_000;
const MOST_ROUNDS = 16;

export interface PublishPorts extends SnapshotPorts {
  /** Up to 20 letters and digits in lower case, never the same twice. */
  readonly newAttempt: () => string;
}

export interface PublishRequest {
  /** All of the manifest but its layers. `createdAt` orders the writes of one name. */
  readonly facts: Omit<SnapshotManifest, "formatVersion" | "layers">;
  /** What the new layer lies upon, bottom first: layers of this namespace that the store has. */
  readonly below: readonly LayerEntry[];
  readonly layer: LayerSource;
}

export interface PublishCall extends Pick<StoreCall, "signal"> {
  /** With a message where the store keeps it from going on, until it goes on. */
  readonly onProgress?: (progress: SnapshotProgress) => void;
  /**
   * Asked when all but the manifest is in the store: what it throws ends the write, and the old snapshot
   * stays. It may say until when the manifest may be sent.
   */
  readonly beforePublish?: (signal: AbortSignal) => Promise<PublishWindow | undefined>;
}

export interface PublishWindow {
  /** By the clock of the ports: no manifest is sent after it. */
  readonly untilMs: number;
}

export type Published =
  /** This write stands; `isNew` = it was made now, not found. */
  | { readonly kind: "published"; readonly isNew: boolean; readonly key: string; readonly manifest: SnapshotManifest }
  /** A newer write of the name stands, and stays. */
  | { readonly kind: "superseded"; readonly by: SnapshotManifest };

/**
 * Writes a snapshot: its layer first, its manifest last. Whatever happens in between, the name means
 * the old snapshot or the new one. Repeating it with the same `writeId` finds its own finished work.
 * What it throws says that this write does not stand and never will, save `unsure`: then a look at the
 * store says it, once what was sent can no longer arrive.
 */
export async function publishSnapshot(
  ports: PublishPorts,
  request: PublishRequest,
  call: PublishCall,
): Promise<Published> {
  const { store, clock, newAttempt } = ports;
  const { facts, layer } = request;
  const { tell, onTrouble } = createTeller(call.onProgress);
  const known = decideWrite(await readStanding(store, facts, { signal: call.signal, onTrouble }), facts);
  const settled = settledBy(known, facts);
  if (settled !== undefined) return settled;
  const attemptId = `${facts.writeId}-${newAttempt()}`;
  const upload = { place: facts, attemptId, layer };
  const stored = await uploadLayer(store, upload, { signal: call.signal, onTrouble, onBytes: tell("Uploading") });
  const late = (): Error =>
    new StoreError(
      "unavailable",
      `The snapshot ${placeText(facts)} could not be completed in ${SETTLE_MS / 60_000} min.`,
    );
  const write: Write = { ports, request, stored, isSent: false, isUnsure: false };
  try {
    return await withDeadline({ clock, timeoutMs: SETTLE_MS, signal: call.signal, late }, async (signal) => {
      await verifyLayer(store, stored, { signal, onTrouble, onBytes: tell("Verifying", stored.entry.bytes) });
      const window = await call.beforePublish?.(signal);
      if (window === undefined) return putManifest(write, { signal, onTrouble });
      return withDeadline(windowOf(window, ports, { facts, signal }), (limited) =>
        putManifest(write, { signal: limited, onTrouble }),
      );
    });
  } catch (error) {
    if (!write.isUnsure) throw error;
    const message = `It is not known whether the snapshot ${placeText(facts)} stands: the store did not say so.`;
    throw new SnapshotFault("unsure", message, { cause: error });
  } finally {
    // A manifest that was sent may yet arrive, however its sending ended: then only the collector may say what is unused.
    if (!write.isSent) await removeStored(ports, stored);
  }
}

/** Says how far it is, and with that what the store says instead of going on. */
function createTeller(onProgress: PublishCall["onProgress"] = () => undefined) {
  let last: SnapshotProgress = { phase: "Uploading", bytesDone: 0 };
  return {
    tell: (phase: SnapshotProgress["phase"], bytesTotal?: number) => (bytesDone: number) => {
      last = { phase, bytesDone, ...(bytesTotal === undefined ? {} : { bytesTotal }) };
      onProgress(last);
    },
    onTrouble: (error: StoreError) => onProgress({ ...last, message: snapshotFailure(error).message }),
  };
}

function windowOf(
  { untilMs }: PublishWindow,
  { clock }: PublishPorts,
  { facts, signal }: { readonly facts: PublishRequest["facts"]; readonly signal: AbortSignal },
): Deadline {
  const late = (): Error =>
    new StoreError("unavailable", `The store did not take the manifest of the snapshot ${placeText(facts)} in time.`);
  return { clock, timeoutMs: Math.max(0, untilMs - clock.now()), signal, late };
}

interface Write {
  readonly ports: PublishPorts;
  readonly request: PublishRequest;
  readonly stored: StoredEntry;
  isSent: boolean;
  /** It was sent, and neither its success nor its failure has been heard. */
  isUnsure: boolean;
}

async function putManifest(write: Write, call: StoreCall): Promise<Published> {
  const { ports, request, stored } = write;
  const { facts, below } = request;
  const key = manifestKey(facts.namespace, facts.name);
  const layers = [...below, stored.entry];
  const manifest = SnapshotManifest.parse({ ...facts, formatVersion: SNAPSHOT_FORMAT_VERSION, layers });
  const bytes = new TextEncoder().encode(`${JSON.stringify(manifest, undefined, 2)}\n`);
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const decision = decideWrite(await readStanding(ports.store, facts, call), facts);
    const settled = settledBy(decision, facts);
    if (settled !== undefined) return settled;
    await checkBelow(write, call);
    call.signal.throwIfAborted();
    try {
      [write.isSent, write.isUnsure] = [true, true];
      await ports.store.put(key, bytes, conditionOf(decision), call);
      return { kind: "published", isNew: true, key, manifest };
    } catch (error) {
      if (!isStoreError(error, "changed")) throw error;
      write.isUnsure = false;
    }
  }
  throw new SnapshotFault("changing", `The snapshot ${placeText(facts)} is written by others all the time.`);
}

function settledBy(decision: WriteDecision, { namespace, name }: PublishRequest["facts"]): Published | undefined {
  if (decision.kind === "superseded") return decision;
  if (decision.kind !== "done") return undefined;
  return { kind: "published", isNew: false, key: manifestKey(namespace, name), manifest: decision.manifest };
}

function conditionOf(decision: WriteDecision): PutCondition {
  return decision.kind === "replace" ? { kind: "unchanged", version: decision.version } : { kind: "absent" };
}

/** Layers of others may have lost their last manifest: those that are noted as unused are about to go. */
async function checkBelow({ ports: { store }, request: { below, facts } }: Write, call: StoreCall): Promise<void> {
  await Promise.all(
    below.map(async ({ key, bytes }) => {
      const note = await sizeIfThere(store, unusedNoteKey(key), call);
      const size = await sizeIfThere(store, key, call);
      if (note === undefined && size === bytes) return;
      throw new SnapshotFault(
        "gone",
        `The snapshot ${placeText(facts)} cannot stand on ${key}, which is no longer kept: write it as one whole layer.`,
      );
    }),
  );
}

/** Nobody can know of it yet. What is left when this fails, the collector removes. */
async function removeStored({ store, clock }: PublishPorts, { entry, version }: StoredEntry): Promise<void> {
  const late = (): Error => new Error("It takes too long");
  const { signal } = new AbortController();
  await withDeadline({ clock, timeoutMs: REMOVAL_MS, signal, late }, (limited) =>
    store.remove(entry.key, { version }, { signal: limited }),
  ).catch(() => undefined);
}
