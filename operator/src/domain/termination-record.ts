import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import { apiVersionOf, ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import { ownerOf } from "#core/kubernetes/sandbox-labels.ts";
import { terminationRequest } from "#core/snapshot/decide-termination.ts";

/** Ends the name of the record of the snapshot at a sandbox's end, after the sandbox's. */
const SUFFIX = "-termination";
/** On an object whose deletion removes all that it owns first. */
const FOREGROUND = "foregroundDeletion";

export function terminationRecordName(sandbox: string): string {
  return `${sandbox}${SUFFIX}`;
}

/** The sandbox whose last snapshot a record of this name may be. */
export function sandboxOfTermination(record: string): string | undefined {
  return record.endsWith(SUFFIX) ? record.slice(0, -SUFFIX.length) : undefined;
}

/** The record of the snapshot at the sandbox's end, complete at this moment at the latest; undefined when none is wanted. */
export function terminationRecord(
  sandbox: SandboxResource,
  { nowMs, deadlineAtMs }: { readonly nowMs: number; readonly deadlineAtMs: number },
): RootfsSnapshotResource | undefined {
  const { metadata, spec } = sandbox;
  const request = terminationRequest(metadata.name, spec.terminationPolicy);
  if (request === undefined) return undefined;
  const { sandboxId, snapshotName, ttlSecondsAfterFinished } = request.spec;
  // What the sandbox owns would be removed at once, and the snapshot with it; its record goes after its time.
  const isOwned = metadata.finalizers?.includes(FOREGROUND) !== true;
  return {
    apiVersion: apiVersionOf(ROOTFS_SNAPSHOTS),
    kind: ROOTFS_SNAPSHOTS.kind,
    metadata: {
      name: request.id,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      annotations: { [ANNOTATION.sandboxUid]: metadata.uid ?? "" },
      ...(isOwned ? { ownerReferences: [ownerOf(sandbox)] } : {}),
    },
    spec: {
      sandboxName: sandboxId,
      snapshotName,
      timeoutSeconds: Math.max(1, Math.ceil((deadlineAtMs - nowMs) / 1000)),
      ttlSecondsAfterFinished,
    },
  };
}

/** Whether it is the record of this very sandbox's last snapshot, and not of another's of its name. */
export function isTerminationRecord({ metadata }: RootfsSnapshotResource, sandbox: SandboxResource): boolean {
  if (metadata.name !== terminationRecordName(sandbox.metadata.name)) return false;
  return metadata.annotations?.[ANNOTATION.sandboxUid] === sandbox.metadata.uid;
}
