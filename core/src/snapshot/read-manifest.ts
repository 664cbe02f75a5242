import { SNAPSHOT_FORMAT_VERSION, SnapshotManifest } from "#api/snapshot-manifest.ts";
import { parseSnapshotKey } from "./snapshot-keys.ts";

/** No honest manifest comes near it: a reader need not take more. */
export const MAX_MANIFEST_BYTES = 1 << 20;

/** A manifest, or why it is none, as the end of "… cannot be used: ". */
export type ReadManifest =
  | { readonly kind: "manifest"; readonly manifest: SnapshotManifest }
  | { readonly kind: "fault"; readonly fault: string };

/**
 * Reads what lies under the manifest's key of a snapshot. Whoever can write to the store could have
 * put anything there: it must be the manifest of this very snapshot, and point only at layers of
 * the same namespace.
 */
export function readManifest(text: string, at: { readonly namespace: string; readonly name: string }): ReadManifest {
  if (text.length > MAX_MANIFEST_BYTES) return fault("its manifest is too large");
  const value = parseJson(text);
  const version =
    typeof value === "object" && value !== null ? (value as Record<string, unknown>)["formatVersion"] : undefined;
  if (version === undefined) return fault("its manifest is no manifest of a snapshot");
  if (version !== SNAPSHOT_FORMAT_VERSION) {
    const found = typeof version === "number" ? String(version) : "another kind";
    return fault(`its manifest has format version ${found}, and this release reads ${SNAPSHOT_FORMAT_VERSION}`);
  }
  const parsed = SnapshotManifest.safeParse(value);
  if (!parsed.success) {
    const [first] = parsed.error.issues;
    return fault(`its manifest is damaged at "${first?.path.join(".") ?? ""}": ${first?.message ?? "unknown fault"}`);
  }
  const manifest = parsed.data;
  if (manifest.namespace !== at.namespace || manifest.name !== at.name) {
    return fault(`its manifest is that of the snapshot "${manifest.name}" in the namespace "${manifest.namespace}"`);
  }
  const foreign = manifest.layers.find(({ key }) => !isLayerOf(key, at.namespace));
  if (foreign !== undefined) return fault(`its manifest names a layer outside of its namespace: "${foreign.key}"`);
  return { kind: "manifest", manifest };
}

/**
 * Keys of the layers that a manifest names which cannot be read otherwise, of a later format or with a
 * damaged part; undefined when what is there does not tell.
 */
export function layersNamed(text: string): readonly string[] | undefined {
  const value = parseJson(text);
  const layers = typeof value === "object" && value !== null ? (value as Record<string, unknown>)["layers"] : undefined;
  if (!Array.isArray(layers) || layers.length === 0) return undefined;
  const keys = layers.map((layer: unknown) =>
    typeof layer === "object" && layer !== null ? (layer as Record<string, unknown>)["key"] : undefined,
  );
  return keys.every(isLayerKey) ? keys : undefined;
}

function isLayerKey(key: unknown): key is string {
  return typeof key === "string" && parseSnapshotKey(key)?.kind === "layer";
}

function isLayerOf(key: string, namespace: string): boolean {
  const parsed = parseSnapshotKey(key);
  return parsed?.kind === "layer" && parsed.namespace === namespace;
}

function fault(text: string): ReadManifest {
  return { kind: "fault", fault: text };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
