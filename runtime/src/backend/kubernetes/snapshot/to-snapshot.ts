import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { createdAtMsOf } from "#core/kubernetes/created-at.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { expiryOf } from "#core/snapshot/decide-snapshot.ts";
import type { Snapshot, SnapshotSpec } from "#core/snapshot/snapshot.ts";
import type { CreateSnapshot } from "#runtime/backend/port.ts";

/** The object to create for a request. */
export function toSnapshotResource(
  { id, spec, requestDigest }: CreateSnapshot,
  at: { readonly namespace: string; readonly nowMs: number },
): RootfsSnapshotResource {
  const { sandboxId, snapshotName, containerName, timeoutSeconds, ttlSecondsAfterFinished } = spec;
  return {
    metadata: {
      name: id,
      namespace: at.namespace,
      annotations: { [ANNOTATION.requestDigest]: requestDigest, [ANNOTATION.createdAtMs]: String(at.nowMs) },
    },
    spec: {
      sandboxName: sandboxId,
      snapshotName,
      ...(containerName === undefined ? {} : { containerName }),
      timeoutSeconds,
      ttlSecondsAfterFinished,
    },
  };
}

/**
 * The record as the port shows it, whoever made the object. Other programs' clocks tell whole
 * seconds: nothing happened before what it follows, whatever they say.
 */
export function toSnapshot(resource: RootfsSnapshotResource): Snapshot {
  const { metadata, status } = resource;
  const spec = specOf(resource);
  const containerName = spec.containerName ?? status?.containerName;
  const { startedAtMs: startSaid, completedAtMs: endSaid, expiresAtMs: _, ...state } = snapshotState(resource);
  const createdAtMs = createdAtMsOf(resource);
  const startedAtMs = startSaid === undefined ? undefined : Math.max(startSaid, createdAtMs);
  const completedAtMs = endSaid === undefined ? undefined : Math.max(endSaid, startedAtMs ?? createdAtMs);
  return {
    id: metadata.name,
    spec: { ...spec, ...(containerName === undefined ? {} : { containerName }) },
    ...state,
    createdAtMs,
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(completedAtMs === undefined ? {} : { completedAtMs, expiresAtMs: expiryOf(spec, completedAtMs) }),
    requestDigest: metadata.annotations?.[ANNOTATION.requestDigest] ?? "",
  };
}

/** What sandboxes restore it by. */
export function snapshotNameOf({ spec }: Pick<RootfsSnapshotResource, "spec">): string {
  return spec.snapshotName ?? spec.sandboxName;
}

function specOf({ spec }: RootfsSnapshotResource): SnapshotSpec {
  const { sandboxName, containerName, timeoutSeconds, ttlSecondsAfterFinished } = spec;
  return {
    sandboxId: sandboxName,
    snapshotName: snapshotNameOf({ spec }),
    ...(containerName === undefined ? {} : { containerName }),
    timeoutSeconds,
    ttlSecondsAfterFinished,
  };
}
