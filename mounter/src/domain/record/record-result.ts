import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import type { RecordEnd } from "./record-patch.ts";

/** The end of a record whose manifest stands. */
export function succeededBy({
  key,
  manifest,
}: {
  readonly key: string;
  readonly manifest: SnapshotManifest;
}): RecordEnd {
  const { containerName, writeId, base, warnings } = manifest;
  const bytes = manifest.layers.at(-1)?.bytes ?? 0;
  return { kind: "succeeded", result: { containerName, writeId, snapshotKey: key, bytes, base, warnings } };
}
