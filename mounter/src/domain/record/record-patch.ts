import type { Condition } from "#api/crd/object.ts";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SnapshotReason, SnapshotResult } from "#core/snapshot/snapshot.ts";

/** How a record ends. */
export type RecordEnd =
  | { readonly kind: "succeeded"; readonly result: SnapshotResult }
  | { readonly kind: "failed"; readonly reason: SnapshotReason; readonly message: string };

/** A JSON merge patch of a status. */
export interface StatusPatch {
  readonly status: object;
}

/** The merge patch of a record's status that says its end; lists are whole, since a merge replaces them. */
export function endPatch({ status }: RootfsSnapshotResource, end: RecordEnd, nowMs: number): StatusPatch {
  const now = wholeSeconds(nowMs);
  const others = (status?.conditions ?? []).filter(({ type }) => type !== "Succeeded");
  const said: Condition =
    end.kind === "succeeded"
      ? { ...SUCCEEDED, lastTransitionTime: now }
      : { type: "Succeeded", status: "False", reason: end.reason, message: end.message, lastTransitionTime: now };
  const same = { conditions: [...others, said], completionTime: now, progress: null, settle: null };
  if (end.kind === "failed") return { status: same };
  const { containerName, writeId, snapshotKey, bytes, base, warnings } = end.result;
  // What the operator has said already stays as it said it.
  const filled = {
    ...(status?.containerName === undefined ? { containerName } : {}),
    ...(status?.base === undefined ? { base } : {}),
  };
  return { status: { ...same, ...filled, writeId, snapshotKey, bytes, warnings } };
}

/** The merge patch by which a record's manifest may be sent for a while. */
export function publishPatch(publishByMs: number): StatusPatch {
  return { status: { publishBy: wholeSeconds(publishByMs) } };
}

const SUCCEEDED = {
  type: "Succeeded",
  status: "True",
  reason: "Succeeded",
  message: "The snapshot is complete.",
} as const;

/** RFC 3339 in UTC, the fraction dropped. */
function wholeSeconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");
}
