import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";
import { SNAPSHOT_DATA_FINALIZER } from "#core/kubernetes/names.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { recordLate } from "../domain/record-fault.ts";
import type { RecordEnd } from "../domain/record/record-patch.ts";
import { succeededBy } from "../domain/record/record-result.ts";
import type { RecordWrites } from "./record-writes.ts";
import type { SnapshotWork } from "./snapshot-work.ts";

export interface RecordSettlerOptions {
  /** A record as the cache has it. */
  readonly find: (key: string) => RootfsSnapshotResource | undefined;
  readonly work: Pick<SnapshotWork, "find">;
  /** Removes the snapshot of this name if that very write made it. */
  readonly removeData: (
    data: { readonly namespace: string; readonly snapshotName: string; readonly writeId: string },
    signal: AbortSignal,
  ) => Promise<void>;
  readonly writes: Pick<RecordWrites, "end" | "release">;
}

/**
 * What one mounter does for all records: it asks the store how those ended of which nobody says it, and
 * removes the data of those that are to go with it.
 */
export function createRecordSettler({ find, work, removeData, writes }: RecordSettlerOptions): Reconcile {
  const settle = async (record: RootfsSnapshotResource, signal: AbortSignal): Promise<void> => {
    const ref = refOf(record);
    const found = await work.find({ ...ref, snapshotName: snapshotNameOf(record) }, { signal });
    const { reason, message } = recordLate(record.spec.timeoutSeconds);
    const end: RecordEnd = found?.kind === "published" ? succeededBy(found) : { kind: "failed", reason, message };
    await writes.end(ref, end, isUnsettled, signal);
  };

  return async (key, signal) => {
    const record = find(key);
    if (record === undefined) return {};
    if (isUnsettled(record)) await settle(record, signal);
    else if (mayGo(record)) {
      const ref = refOf(record);
      const writeId = record.status?.writeId ?? ref.uid;
      await removeData({ namespace: ref.namespace, snapshotName: snapshotNameOf(record), writeId }, signal);
      await writes.release(ref, mayGo, signal);
    }
    return {};
  };
}

/** The operator has waited long enough: what is not in the store now never will be. */
function isUnsettled(record: RootfsSnapshotResource): boolean {
  return record.status?.settle === true && !hasEnded(record);
}

/** Nothing more will come of it, and its data is to go with it. */
function mayGo(record: RootfsSnapshotResource): boolean {
  const { deletionTimestamp, finalizers = [] } = record.metadata;
  if (deletionTimestamp === undefined || !finalizers.includes(SNAPSHOT_DATA_FINALIZER)) return false;
  return hasEnded(record) || record.status?.nodeName === undefined;
}

function hasEnded(record: RootfsSnapshotResource): boolean {
  return isFinished(snapshotState(record).phase);
}

function refOf({ metadata: { namespace = "", name, uid = "" } }: RootfsSnapshotResource) {
  return { namespace, name, uid };
}

function snapshotNameOf({ spec }: RootfsSnapshotResource): string {
  return spec.snapshotName ?? spec.sandboxName;
}
