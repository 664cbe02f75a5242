import type { RootfsSnapshotResponse } from "#api/snapshot.ts";
import type { Snapshot } from "#core/snapshot/snapshot.ts";
import { timestamp } from "./timestamp.ts";

/** A record as clients see it. */
export function toSnapshotResponse(snapshot: Snapshot): RootfsSnapshotResponse {
  const { id, spec, phase, reason, message, progress, result } = snapshot;
  const { startedAtMs, completedAtMs, expiresAtMs } = snapshot;
  const containerName = result?.containerName ?? spec.containerName;
  return {
    id,
    sandboxId: spec.sandboxId,
    snapshotName: spec.snapshotName,
    ...(containerName === undefined ? {} : { containerName }),
    timeoutSeconds: spec.timeoutSeconds,
    ttlSecondsAfterFinished: spec.ttlSecondsAfterFinished,
    status: phase,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    creationTimestamp: timestamp(snapshot.createdAtMs),
    ...(startedAtMs === undefined ? {} : { startedAt: timestamp(startedAtMs) }),
    ...(completedAtMs === undefined ? {} : { completedAt: timestamp(completedAtMs) }),
    ...(expiresAtMs === undefined ? {} : { expiresAt: timestamp(expiresAtMs) }),
    ...(progress === undefined ? {} : { progress }),
    ...(result === undefined ? {} : resultMembers(result)),
  };
}

function resultMembers({ snapshotKey, bytes, base, warnings }: NonNullable<Snapshot["result"]>) {
  return { snapshotKey, bytes, base, ...(warnings.length === 0 ? {} : { warnings: [...warnings] }) };
}
