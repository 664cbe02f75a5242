import type { SnapshotBase, SnapshotWarning } from "#api/snapshot-manifest.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";

/** What is to be taken, with its defaults filled in. */
export interface SnapshotSpec {
  readonly sandboxId: string;
  /** What sandboxes restore it by. */
  readonly snapshotName: string;
  /** Absent = the first container of the sandbox; the record names it as soon as its taking begins. */
  readonly containerName?: string;
  /** Longest time from the record's creation to completion, waiting included. */
  readonly timeoutSeconds: number;
  /** How long the record stays after that; the data stays in any case. */
  readonly ttlSecondsAfterFinished: number;
}

export type SnapshotPhase = "Pending" | "Running" | "Succeeded" | "Failed";

/** Codes in `Snapshot.reason`. */
export type SnapshotReason =
  | "WaitingForTurn"
  | "NotSupported"
  | "SandboxNotFound"
  | "SandboxNotRunning"
  | "ContainerNotFound"
  | "ContainerEnded"
  | "SandboxLost"
  | "DeadlineExceeded"
  | "InvalidRuntime"
  | "DumpFailed"
  | "DiskFull"
  | "TooLarge"
  | "ArchiveInvalid"
  | "StoreDenied"
  | "StoreFailed";

/** What was written to the store. */
export interface SnapshotResult {
  /** The container that was chosen. */
  readonly containerName: string;
  /** Marks the manifest that this record wrote: only then its removal removes the data too. */
  readonly writeId: string;
  /** Key of the manifest. */
  readonly snapshotKey: string;
  /** As stored, compressed. */
  readonly bytes: number;
  readonly base: SnapshotBase;
  readonly warnings: readonly SnapshotWarning[];
}

/** The record of one snapshot that is or was taken. Times are milliseconds since the Unix epoch. */
export interface Snapshot {
  readonly id: string;
  readonly spec: SnapshotSpec;
  readonly phase: SnapshotPhase;
  readonly reason?: SnapshotReason;
  /** One sentence for people. */
  readonly message?: string;
  readonly createdAtMs: number;
  readonly startedAtMs?: number;
  readonly completedAtMs?: number;
  /** When the record goes. */
  readonly expiresAtMs?: number;
  readonly progress?: SnapshotProgress;
  /** Present when it succeeded. */
  readonly result?: SnapshotResult;
  /** Digest of the request that made it: a repeated create with the same id must match. */
  readonly requestDigest: string;
}

/** True when nothing more will come of it. */
export function isFinished(phase: SnapshotPhase): boolean {
  return phase === "Succeeded" || phase === "Failed";
}
