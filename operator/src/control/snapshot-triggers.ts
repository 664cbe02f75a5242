import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import { podName } from "#core/kubernetes/names.ts";
import { keyOf } from "#core/kubernetes/object-key.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { snapshotNameOf } from "../domain/snapshot/turn.ts";
import { SNAPSHOT_INDEX, type NamespaceStores } from "./sandbox-stores.ts";

type Records = Informer<RootfsSnapshotResource>;

/**
 * Says which records of snapshots are to be looked at, by their keys: those that changed, those
 * whose sandbox or pod did, and those that waited for one that has ended. The result ends it.
 */
export function onSnapshotChange(
  { sandboxes, pods, snapshots, refusedSnapshots }: NamespaceStores,
  listener: (key: string) => void,
): () => void {
  if (refusedSnapshots !== undefined) return refusedSnapshots.onChange((key) => listener(key));
  if (snapshots === undefined) return () => undefined;
  const tellOf = (sandbox: string): void => tellOpen(snapshots.byIndex(SNAPSHOT_INDEX.sandbox, sandbox), listener);
  const endings = [
    snapshots.onChange((key, now, before) => {
      listener(key);
      if (before !== undefined && isOpen(before) && (now === undefined || !isOpen(now)))
        tellNext(snapshots, before, listener);
    }),
    sandboxes.onChange((_key, now, before) => tellOf((now ?? before)?.metadata.name ?? "")),
    pods.onChange((_key, now, before) => tellOf(sandboxOfPod((now ?? before)?.metadata.name ?? ""))),
  ];
  return () => endings.forEach((end) => end());
}

function tellNext(snapshots: Records, ended: RootfsSnapshotResource, listener: (key: string) => void): void {
  tellOpen(snapshots.byIndex(SNAPSHOT_INDEX.name, snapshotNameOf(ended)), listener);
}

function tellOpen(records: readonly RootfsSnapshotResource[], listener: (key: string) => void): void {
  for (const record of records) if (isOpen(record)) listener(keyOf(record));
}

function isOpen(record: RootfsSnapshotResource): boolean {
  return !isFinished(snapshotState(record).phase);
}

function sandboxOfPod(pod: string): string {
  const suffix = podName("");
  return pod.endsWith(suffix) ? pod.slice(0, -suffix.length) : "";
}
