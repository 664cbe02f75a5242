/** Something in the store; times are the store's. */
export interface Collectable {
  readonly key: string;
  readonly version: string;
  readonly modifiedAtMs: number;
}

/** A namespace as one look at the store showed it. */
export interface CollectFacts<Upload extends { readonly startedAtMs: number }> {
  /** By the store's clock. */
  readonly nowMs: number;
  readonly layers: readonly Collectable[];
  /** Keys of layers by which they are noted as unused. */
  readonly notes: readonly (Collectable & { readonly layerKey: string })[];
  /** Keys that the standing manifests name. */
  readonly named: ReadonlySet<string>;
  /** Layers up to this time may be named by manifests that nobody can read; absent = there are none of these. */
  readonly spareUntilMs?: number;
  readonly uploads: readonly Upload[];
}

export interface CollectPatience {
  /** How long a layer is kept that no manifest names. Longer than any write takes from its upload to its manifest. */
  readonly graceMs: number;
  /** How long an upload may take. */
  readonly uploadMs: number;
}

export interface CollectPlan<Upload> {
  /** Layers to be noted as unused. */
  readonly note: readonly Collectable[];
  /** Notes to be removed: their layer is used, or gone. */
  readonly forget: readonly Collectable[];
  /** Layers to be removed, once a second look has shown that still no manifest names them. */
  readonly remove: readonly Collectable[];
  /** Uploads that nobody will finish. */
  readonly abort: readonly Upload[];
}

/**
 * What to do with what no manifest names. A layer is noted first, and removed a grace period after its
 * note. Its own age would not do: an object's time may be that of the beginning of its upload, and an
 * old layer may just have lost its last manifest while somebody writes another that names it. Who
 * names a layer that is not his own looks for a note before, and has written his manifest within less
 * than the grace period: so the second look sees it.
 */
export function planCollection<Upload extends { readonly startedAtMs: number }>(
  { nowMs, layers, notes, named, spareUntilMs = -Infinity, uploads }: CollectFacts<Upload>,
  { graceMs, uploadMs }: CollectPatience,
): CollectPlan<Upload> {
  const noteOf = new Map(notes.map((note) => [note.layerKey, note]));
  const isThere = new Set(layers.map(({ key }) => key));
  const isOld = (atMs: number): boolean => nowMs - atMs > graceMs;
  const unused = layers.filter(({ key, modifiedAtMs }) => !named.has(key) && modifiedAtMs > spareUntilMs);
  return {
    note: unused.filter(({ key }) => !noteOf.has(key)),
    forget: notes.filter(({ layerKey }) => named.has(layerKey) || !isThere.has(layerKey)),
    remove: unused.filter(
      ({ key, modifiedAtMs }) => isOld(modifiedAtMs) && isOld(noteOf.get(key)?.modifiedAtMs ?? nowMs),
    ),
    abort: uploads.filter(({ startedAtMs }) => nowMs - startedAtMs > uploadMs),
  };
}
