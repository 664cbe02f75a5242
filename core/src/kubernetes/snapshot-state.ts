import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import { expiryOf } from "#core/snapshot/decide-snapshot.ts";
import { isFinished, type Snapshot, type SnapshotReason, type SnapshotResult } from "#core/snapshot/snapshot.ts";
import { conditionOf } from "./sandbox-state.ts";

/** What a RootfsSnapshot object says of its snapshot. */
export type SnapshotState = Pick<
  Snapshot,
  "phase" | "reason" | "message" | "startedAtMs" | "completedAtMs" | "expiresAtMs" | "progress" | "result"
>;

const REASONS: Readonly<Record<SnapshotReason, true>> = {
  WaitingForTurn: true,
  NotSupported: true,
  SandboxNotFound: true,
  SandboxNotRunning: true,
  ContainerNotFound: true,
  ContainerEnded: true,
  SandboxLost: true,
  DeadlineExceeded: true,
  InvalidRuntime: true,
  DumpFailed: true,
  DiskFull: true,
  TooLarge: true,
  ArchiveInvalid: true,
  StoreDenied: true,
  StoreFailed: true,
};

/** The contract's rule: the condition `Succeeded` decides; without one, taking it has begun when there is a start time. */
export function snapshotState({ spec, status = {} }: Pick<RootfsSnapshotResource, "spec" | "status">): SnapshotState {
  const succeeded = conditionOf(status, "Succeeded");
  const phase = phaseOf(succeeded?.status, status.startTime);
  const startedAtMs = timeOf(status.startTime);
  const completedAtMs = isFinished(phase) ? timeOf(status.completionTime ?? succeeded?.lastTransitionTime) : undefined;
  const reason = phase === "Succeeded" ? undefined : asReason(succeeded?.reason);
  const message = phase === "Succeeded" || succeeded?.message === "" ? undefined : succeeded?.message;
  const result = phase === "Succeeded" ? resultOf(status) : undefined;
  return {
    phase,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(completedAtMs === undefined ? {} : { completedAtMs, expiresAtMs: expiryOf(spec, completedAtMs) }),
    ...(status.progress === undefined || isFinished(phase) ? {} : { progress: status.progress }),
    ...(result === undefined ? {} : { result }),
  };
}

function phaseOf(succeeded: string | undefined, startTime: string | undefined): Snapshot["phase"] {
  if (succeeded === "True") return "Succeeded";
  if (succeeded === "False") return "Failed";
  return startTime === undefined ? "Pending" : "Running";
}

/** Undefined for an object that another platform has finished: it does not say enough. */
function resultOf(status: RootfsSnapshotStatusResource): SnapshotResult | undefined {
  const { containerName, writeId, snapshotKey, bytes, base, warnings = [] } = status;
  if (containerName === undefined || writeId === undefined || snapshotKey === undefined) return undefined;
  if (bytes === undefined || base === undefined) return undefined;
  return { containerName, writeId, snapshotKey, bytes, base, warnings };
}

function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

function asReason(text: string | undefined): SnapshotReason | undefined {
  return text !== undefined && Object.hasOwn(REASONS, text) ? (text as SnapshotReason) : undefined;
}
