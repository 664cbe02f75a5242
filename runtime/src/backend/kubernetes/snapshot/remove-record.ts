import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { KubeClient, ObjectRef, Removal } from "#core/kubernetes/client.ts";
import { isConflict, isNotFound } from "#core/kubernetes/kube-error.ts";
import { SNAPSHOT_DATA_FINALIZER } from "#core/kubernetes/names.ts";
import { ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";

export interface RecordRemoval {
  readonly client: KubeClient;
  readonly ref: ObjectRef;
  /** As it was seen last, if it was. */
  readonly known: RootfsSnapshotResource | undefined;
  readonly signal: AbortSignal;
  /** Throws when this record must not be removed now. */
  check(record: RootfsSnapshotResource): void;
}

/**
 * Deletes a record so that what it wrote goes with it: the finalizer holds the object until the
 * mounter that collects has seen to the store. It is set on the very state that was checked, so
 * that a record which ends meanwhile is looked at again. One that has failed wrote nothing.
 */
export async function removeRecord(removal: RecordRemoval): Promise<Removal<RootfsSnapshotResource>> {
  let { known } = removal;
  for (;;) {
    try {
      known ??= await removal.client.get(ROOTFS_SNAPSHOTS, removal.ref, { signal: removal.signal });
      if (known.metadata.deletionTimestamp !== undefined) return { kind: "going", object: known };
      removal.check(known);
      return await removeKnown(removal, known);
    } catch (error) {
      if (isNotFound(error)) return { kind: "absent" };
      if (!isConflict(error)) throw error;
    }
    known = undefined;
  }
}

async function removeKnown(
  { client, ref, signal }: RecordRemoval,
  record: RootfsSnapshotResource,
): Promise<Removal<RootfsSnapshotResource>> {
  const { uid, resourceVersion, finalizers = [] } = record.metadata;
  const mayHaveData = snapshotState(record).phase !== "Failed";
  if (mayHaveData && !finalizers.includes(SNAPSHOT_DATA_FINALIZER)) {
    const metadata = { uid, resourceVersion, finalizers: [...finalizers, SNAPSHOT_DATA_FINALIZER] };
    await client.patch(ROOTFS_SNAPSHOTS, ref, { metadata }, { signal });
  }
  const only = uid === undefined ? {} : { uid };
  return client.remove(ROOTFS_SNAPSHOTS, ref, { signal }, { ...only, propagationPolicy: "Background" });
}
