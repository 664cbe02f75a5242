import { parseSnapshotKey, snapshotPrefix } from "#core/snapshot/snapshot-keys.ts";
import { planCollection, type Collectable, type CollectPatience } from "../../domain/collect-plan.ts";
import type { ObjectStore, PendingUpload, StoreCall, StoredObject } from "../../storage/port.ts";
import { isStoreError } from "../../storage/store-error.ts";
import { listAll } from "./list-all.ts";
import { SETTLE_MS } from "./publish-snapshot.ts";
import { readStanding } from "./read-standing.ts";
import type { SnapshotPlace } from "./snapshot-place.ts";
import { layerOfNote, unusedNoteKey } from "./unused-note.ts";

/** Twice what a write may take from its upload to its manifest. */
const LEAST_GRACE_MS = 2 * SETTLE_MS;
const NOTHING = new Uint8Array();
const ALWAYS = { kind: "always" } as const;

export interface CollectOptions extends CollectPatience {
  readonly namespace: string;
  /** Keys of layers that are kept although no manifest names them: somebody is about to put a layer on top. */
  readonly inUse?: ReadonlySet<string>;
}

export const COLLECT_PATIENCE: CollectPatience = { graceMs: LEAST_GRACE_MS, uploadMs: 24 * 3_600_000 };

export interface Collected {
  readonly notedLayers: number;
  readonly removedLayers: number;
  readonly removedBytes: number;
  readonly abortedUploads: number;
  /** Manifests that do not tell what they name, and why: layers that they might name are kept. */
  readonly unreadable: readonly { readonly key: string; readonly fault: string }[];
}

/**
 * Removes what no manifest of a namespace names. Safe beside writers, readers and other collectors: a
 * layer goes only when it was noted as unused a grace period before, by the store's clock, and a second
 * look still finds no manifest that names it.
 */
export async function collectSnapshots(
  store: ObjectStore,
  options: CollectOptions,
  call: StoreCall,
): Promise<Collected> {
  if (options.graceMs < LEAST_GRACE_MS) throw new RangeError(`The grace period is at least ${LEAST_GRACE_MS} ms`);
  const { namespace } = options;
  const nowMs = await storeTime(store, namespace, call);
  const seen = await look(store, namespace, call);
  const uploads: PendingUpload[] = [];
  for await (const upload of listAll((page) => store.listUploads(snapshotPrefix(namespace), page, call)))
    uploads.push(upload);
  const first = await readNames(store, seen.manifests, new Map(), call);
  const named = new Set([...namesOf(first), ...(options.inUse ?? [])]);
  const plan = planCollection({ nowMs, ...seen, named, spareUntilMs: spareUntilMs(first, options), uploads }, options);
  for (const upload of plan.abort) await store.abortUpload(upload, call);
  for (const { key } of plan.forget) await store.remove(key, {}, call);
  for (const { key } of plan.note)
    await store.put(unusedNoteKey(key), NOTHING, { kind: "absent" }, call).catch(unlessThere);
  const removed =
    plan.remove.length === 0 ? [] : await removeUnused(store, { ...options, first, unused: plan.remove }, call);
  const sizes = new Map(seen.layers.map(({ key, sizeBytes }) => [key, sizeBytes]));
  return {
    notedLayers: plan.note.length,
    removedLayers: removed.length,
    removedBytes: removed.reduce((sum, { key }) => sum + (sizes.get(key) ?? 0), 0),
    abortedUploads: plan.abort.length,
    unreadable: faultsOf(first),
  };
}

interface Removal extends CollectOptions {
  readonly first: Names;
  readonly unused: readonly Collectable[];
}

async function removeUnused(
  store: ObjectStore,
  { first, unused, ...options }: Removal,
  call: StoreCall,
): Promise<readonly Collectable[]> {
  const seen = await look(store, options.namespace, call);
  const again = await readNames(store, seen.manifests, first, call);
  const named = namesOf(again);
  const sparedMs = spareUntilMs(again, options);
  // A note that another collector has taken away meanwhile keeps nobody from using the layer.
  const noted = new Set(seen.notes.map(({ layerKey }) => layerKey));
  const removed = unused.filter(
    ({ key, modifiedAtMs }) => noted.has(key) && !named.has(key) && modifiedAtMs > sparedMs,
  );
  for (const { key, version } of removed) {
    await store.remove(key, { version }, call).catch(unlessThere);
    await store.remove(unusedNoteKey(key), {}, call);
  }
  return removed;
}

/** What the store's clock says: the time it gives to what is written now. */
async function storeTime(store: ObjectStore, namespace: string, call: StoreCall): Promise<number> {
  const key = `${snapshotPrefix(namespace)}collected`;
  await store.put(key, NOTHING, ALWAYS, call);
  return (await store.stat(key, call)).modifiedAtMs;
}

type SeenNote = StoredObject & { readonly layerKey: string };
type SeenManifest = StoredObject & { readonly place: SnapshotPlace };

interface Seen {
  readonly layers: readonly StoredObject[];
  readonly notes: readonly SeenNote[];
  readonly manifests: readonly SeenManifest[];
}

async function look(store: ObjectStore, namespace: string, call: StoreCall): Promise<Seen> {
  const layers: StoredObject[] = [];
  const notes: SeenNote[] = [];
  const manifests: SeenManifest[] = [];
  for await (const object of listAll((page) => store.list(snapshotPrefix(namespace), page, call))) {
    const layerKey = layerOfNote(object.key);
    const parsed = parseSnapshotKey(object.key);
    if (layerKey !== undefined) notes.push({ ...object, layerKey });
    else if (parsed?.kind === "layer") layers.push(object);
    else if (parsed?.kind === "manifest") manifests.push({ ...object, place: parsed });
  }
  return { layers, notes, manifests };
}

/** What one version of a manifest names; a fault when it does not tell. */
interface Naming {
  readonly version: string;
  readonly keys: readonly string[];
  readonly fault?: string;
  /** When it was written, by the store's clock. */
  readonly writtenAtMs: number;
}

type Names = ReadonlyMap<string, Naming>;

async function readNames(
  store: ObjectStore,
  manifests: Seen["manifests"],
  known: Names,
  call: StoreCall,
): Promise<Names> {
  const names = new Map<string, Naming>();
  for (const manifest of manifests) {
    const { key, version } = manifest;
    const before = known.get(key);
    if (before !== undefined && before.version === version) {
      names.set(key, before);
      continue;
    }
    const naming = await readNaming(store, manifest, call);
    if (naming !== undefined) names.set(key, naming);
  }
  return names;
}

async function readNaming(
  store: ObjectStore,
  { place, version: seenVersion, modifiedAtMs }: SeenManifest,
  call: StoreCall,
): Promise<Naming | undefined> {
  const standing = await readStanding(store, place, call);
  if (standing.kind === "none") return undefined;
  const { version } = standing;
  // One that has just been replaced may name whatever there is.
  const of = { version, writtenAtMs: version === seenVersion ? modifiedAtMs : Infinity };
  if (standing.kind === "manifest") return { ...of, keys: standing.manifest.layers.map((layer) => layer.key) };
  const { names, fault } = standing;
  return names === undefined ? { ...of, keys: [], fault } : { ...of, keys: names };
}

/**
 * Up to when layers may be named by manifests that do not tell: each has its layers before it is written
 * itself, by the store's clock, and a store that was copied has them within as long as an upload may take.
 */
function spareUntilMs(names: Names, { uploadMs }: CollectPatience): number {
  return Math.max(
    -Infinity,
    ...[...names.values()].flatMap(({ fault, writtenAtMs }) => (fault === undefined ? [] : [writtenAtMs + uploadMs])),
  );
}

function namesOf(names: Names): ReadonlySet<string> {
  return new Set([...names.values()].flatMap(({ keys }) => keys));
}

function faultsOf(names: Names): Collected["unreadable"] {
  return [...names].flatMap(([key, { fault }]) => (fault === undefined ? [] : [{ key, fault }]));
}

/** Another collector, or a newer writer, was there first. */
function unlessThere(error: unknown): void {
  if (!isStoreError(error, "changed")) throw error;
}
