import type { SnapshotProgress } from "#api/snapshot.ts";
import { isFinished, type SnapshotPhase, type SnapshotReason, type SnapshotSpec } from "./snapshot.ts";

/**
 * Shortest life of a finished record, whatever its `ttlSecondsAfterFinished`: who asks once a
 * second must have the chance to see how it ended.
 */
export const MIN_RECORD_MS = 5_000;

/** How a snapshot ended, latched once: nothing that happens later changes it. */
export interface SnapshotOutcome {
  readonly phase: "Succeeded" | "Failed";
  readonly reason?: SnapshotReason;
  readonly message?: string;
  readonly atMs: number;
}

/** What is known of a record; times are milliseconds since the Unix epoch. */
export interface SnapshotFacts {
  readonly spec: Pick<SnapshotSpec, "timeoutSeconds" | "ttlSecondsAfterFinished">;
  readonly createdAtMs: number;
  /** First moment of the taking; kept from then on. */
  readonly startedAtMs?: number;
  /** Kept from the first decision that ended it. */
  readonly outcome?: SnapshotOutcome;
  /** True from the moment the manifest is written. */
  readonly isWritten?: boolean;
  /** True while the manifest may stand or be on its way: then only the store says how it ends, and no clock. */
  readonly isPublishing?: boolean;
  /** A fault that ends it. */
  readonly failure?: { readonly reason: SnapshotReason; readonly message: string };
  /** Id of the record that writes the same name and goes first (`turnOf`). */
  readonly behind?: string;
  /** How far the taking is, and what it last met. */
  readonly progress?: SnapshotProgress;
}

export interface SnapshotDecision {
  readonly phase: SnapshotPhase;
  readonly reason?: SnapshotReason;
  readonly message?: string;
  /** Decide again at this moment, even when nothing is observed before. */
  readonly nextDeadlineMs?: number;
  /** The record is to be removed now; what was written stays. */
  readonly remove?: true;
}

/**
 * The rules of a record's life, the same for every backend: present facts to status and next
 * deadline. What is written is a success even when time is over, and a fault comes before the clock.
 */
export function decideSnapshot(facts: SnapshotFacts, nowMs: number): SnapshotDecision {
  const outcome = facts.outcome ?? endOf(facts, nowMs);
  if (outcome !== undefined) return finished(facts, outcome, nowMs);
  if (facts.isPublishing === true) return { phase: "Running" };
  const nextDeadlineMs = deadlineOf(facts);
  if (facts.startedAtMs !== undefined) return { phase: "Running", nextDeadlineMs };
  if (facts.behind === undefined) return { phase: "Pending", nextDeadlineMs };
  const message = `It waits for the snapshot "${facts.behind}", which writes the same name.`;
  return { phase: "Pending", reason: "WaitingForTurn", message, nextDeadlineMs };
}

/** The outcome to latch when a decision ended the snapshot, undefined while it is being taken. */
export function snapshotOutcomeOf(decision: SnapshotDecision, nowMs: number): SnapshotOutcome | undefined {
  const { phase, reason, message } = decision;
  if (!isFinished(phase)) return undefined;
  return {
    phase: phase === "Succeeded" ? phase : "Failed",
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    atMs: nowMs,
  };
}

/** When the record of something that ended then goes. */
export function expiryOf(
  { ttlSecondsAfterFinished }: Pick<SnapshotSpec, "ttlSecondsAfterFinished">,
  endedAtMs: number,
) {
  return endedAtMs + Math.max(ttlSecondsAfterFinished * 1000, MIN_RECORD_MS);
}

function finished(facts: SnapshotFacts, outcome: SnapshotOutcome, nowMs: number): SnapshotDecision {
  const { atMs, ...state } = outcome;
  const expiresAtMs = expiryOf(facts.spec, atMs);
  return nowMs >= expiresAtMs ? { ...state, remove: true } : { ...state, nextDeadlineMs: expiresAtMs };
}

function endOf(facts: SnapshotFacts, nowMs: number): SnapshotOutcome | undefined {
  if (facts.isWritten === true) return { phase: "Succeeded", atMs: nowMs };
  if (facts.failure !== undefined) return { phase: "Failed", ...facts.failure, atMs: nowMs };
  if (facts.isPublishing === true || nowMs < deadlineOf(facts)) return undefined;
  return { phase: "Failed", ...lateFailure(facts.spec.timeoutSeconds, facts), atMs: nowMs };
}

/** What a record says whose time is over: what held it up, where that is known. */
export function lateFailure(
  timeoutSeconds: number,
  { startedAtMs, behind, progress }: Pick<SnapshotFacts, "startedAtMs" | "behind" | "progress"> = {},
): { readonly reason: SnapshotReason; readonly message: string } {
  const late = `The snapshot was not complete ${timeoutSeconds} s after its creation`;
  if (progress?.message !== undefined)
    return { reason: "StoreFailed", message: `${late}; until then: ${progress.message}` };
  const waited = startedAtMs === undefined && behind !== undefined;
  const why = waited
    ? `: it waited for the snapshot "${behind}", which writes the same name`
    : progress === undefined
      ? ""
      : `: it had come as far as ${progress.phase}`;
  return { reason: "DeadlineExceeded", message: `${late}${why}.` };
}

function deadlineOf({ createdAtMs, spec }: SnapshotFacts): number {
  return createdAtMs + spec.timeoutSeconds * 1000;
}
