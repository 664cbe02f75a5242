import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { createdAtMsOf } from "#core/kubernetes/created-at.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { isFinished, type Snapshot } from "#core/snapshot/snapshot.ts";
import { turnOf } from "#core/snapshot/turn-of.ts";

/** The name under which a record keeps what it takes. */
export function snapshotNameOf({ spec }: RootfsSnapshotResource): string {
  return spec.snapshotName ?? spec.sandboxName;
}

/**
 * Name of the record that a record which has not begun waits for, of those that write the same
 * name: the one before it, and also any that a node has already, as two at once would race.
 */
export function recordBefore(
  record: RootfsSnapshotResource,
  others: readonly RootfsSnapshotResource[],
): string | undefined {
  const open = others.filter((other) => other.metadata.name !== record.metadata.name && isOpen(other));
  const started = open.find(({ status }) => status?.startTime !== undefined);
  return turnOf(placeOf(record), open.map(placeOf)) ?? started?.metadata.name;
}

function isOpen(record: RootfsSnapshotResource): boolean {
  return !isFinished(snapshotState(record).phase);
}

function placeOf(record: RootfsSnapshotResource): Pick<Snapshot, "id" | "spec" | "createdAtMs" | "phase"> {
  const { sandboxName, timeoutSeconds, ttlSecondsAfterFinished } = record.spec;
  return {
    id: record.metadata.name,
    spec: { sandboxId: sandboxName, snapshotName: snapshotNameOf(record), timeoutSeconds, ttlSecondsAfterFinished },
    createdAtMs: createdAtMsOf(record),
    phase: snapshotState(record).phase,
  };
}
