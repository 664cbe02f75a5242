import type { SnapshotManifest } from "#api/snapshot-manifest.ts";

/** Who wrote a manifest, and what it is ordered by. */
export type Writer = Pick<SnapshotManifest, "writeId" | "createdAt">;

/** What lies under a manifest's key. */
export type Standing<M extends Writer = SnapshotManifest> =
  | { readonly kind: "none" }
  | { readonly kind: "manifest"; readonly manifest: M; readonly version: string }
  /** Something that this release cannot read, and why; `names` = keys of its layers, where it says them all the same. */
  | {
      readonly kind: "unreadable";
      readonly fault: string;
      readonly version: string;
      readonly names?: readonly string[];
    };

export type WriteDecision<M extends Writer = SnapshotManifest> =
  /** There is none: make it, if that is still so. */
  | { readonly kind: "create" }
  /** Replace exactly this one. */
  | { readonly kind: "replace"; readonly version: string }
  /** This very write stands already. */
  | { readonly kind: "done"; readonly manifest: M; readonly version: string }
  /** A newer one stands: it stays. */
  | { readonly kind: "superseded"; readonly by: M };

/**
 * What a write may do with what stands. Writes of one name are ordered by the creation of their
 * records. Within a second the one that comes later wins: records of one name take turns, so the
 * later one is the newer one. What cannot be read has no order and gives way.
 */
export function decideWrite<M extends Writer>(standing: Standing<M>, write: Writer): WriteDecision<M> {
  if (standing.kind === "none") return { kind: "create" };
  if (standing.kind === "unreadable") return { kind: "replace", version: standing.version };
  const { manifest, version } = standing;
  if (manifest.writeId === write.writeId) return { kind: "done", manifest, version };
  // RFC 3339 in UTC with whole seconds sorts as text.
  if (manifest.createdAt > write.createdAt) return { kind: "superseded", by: manifest };
  return { kind: "replace", version };
}
