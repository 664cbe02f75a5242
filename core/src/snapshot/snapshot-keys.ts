const ROOT = "rootfssnapshots";
const SUFFIX = { manifest: ".json", layer: ".tar.zst", raw: ".tar" } as const;

/** What a key of the store means. */
export type SnapshotKey =
  | { readonly kind: "manifest" | "raw"; readonly namespace: string; readonly name: string }
  | { readonly kind: "layer"; readonly namespace: string; readonly name: string; readonly writeId: string };

/** Below this lies all that a namespace keeps; nothing of it is ever read for another namespace. */
export function snapshotPrefix(namespace: string): string {
  return `${ROOT}/${namespace}/`;
}

/** The manifest: its presence is the snapshot's. */
export function manifestKey(namespace: string, name: string): string {
  return `${snapshotPrefix(namespace)}${name}${SUFFIX.manifest}`;
}

/** The archive of one write; a later write of the same name has another key, so readers never see a mixture. */
export function layerKey(namespace: string, name: string, writeId: string): string {
  return `${snapshotPrefix(namespace)}${name}.${writeId}${SUFFIX.layer}`;
}

/** An archive without a manifest, as Isola writes it. */
export function rawKey(namespace: string, name: string): string {
  return `${snapshotPrefix(namespace)}${name}${SUFFIX.raw}`;
}

/** What a key means, undefined for one that is none of ours. The suffix alone tells the kind, since a write's id has no dots. */
export function parseSnapshotKey(key: string): SnapshotKey | undefined {
  const [root, namespace, file, ...more] = key.split("/");
  if (root !== ROOT || namespace === undefined || namespace === "" || file === undefined || more.length > 0)
    return undefined;
  for (const kind of ["layer", "manifest", "raw"] as const) {
    const name = file.endsWith(SUFFIX[kind]) ? file.slice(0, -SUFFIX[kind].length) : "";
    if (name === "") continue;
    if (kind !== "layer") return { kind, namespace, name };
    const dot = name.lastIndexOf(".");
    if (dot <= 0 || dot === name.length - 1) return undefined;
    return { kind, namespace, name: name.slice(0, dot), writeId: name.slice(dot + 1) };
  }
  return undefined;
}
