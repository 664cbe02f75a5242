import type { SandboxPhase, SandboxReason, SandboxSpec } from "./sandbox.ts";
import { decideTermination, type TerminationDecision, type TerminationFacts } from "./snapshot/decide-termination.ts";

/** How long the record of an ended sandbox stays readable, in milliseconds. */
export const DEFAULT_RETENTION_MS = 3_600_000;

export interface ObservedContainer {
  readonly name: string;
  readonly state: "waiting" | "running" | "exited";
  /** Of an exited container; an exit without a known code counts as a failure. */
  readonly exitCode?: number;
}

/** The last state of a sandbox, latched once: nothing that happens later changes it. */
export interface Outcome {
  readonly phase: "Succeeded" | "Failed";
  readonly reason: SandboxReason;
  readonly message?: string;
  readonly atMs: number;
}

/** What a backend knows about a sandbox; times are milliseconds since the Unix epoch. */
export interface Observed {
  readonly spec: Pick<SandboxSpec, "startupTimeoutSeconds" | "timeoutSeconds">;
  readonly createdAtMs: number;
  /** First moment of Running; the backend keeps it from then on. */
  readonly startedAtMs?: number;
  /** Where the lifetime counts from when it is not the first moment of Running. */
  readonly lifetimeFromMs?: number;
  readonly removeRequestedAtMs?: number;
  /** Kept by the backend from the first decision that ended the sandbox. */
  readonly ended?: Outcome;
  /** The sandbox's own containers, without the agent's; absent until they are known. */
  readonly containers?: readonly ObservedContainer[];
  readonly agentReady: boolean;
  /** A fault that ends the sandbox, whatever its containers do. */
  readonly failure?: { readonly reason: SandboxReason; readonly message: string };
  /** What a start waits for before its containers can run, as the end of "It waits for …". */
  readonly waitsFor?: string;
  /** Somebody else stops the sandbox, who waits for the snapshot at its end. */
  readonly stopRequestedAtMs?: number;
  /** Set when a snapshot is to be taken before the sandbox goes; only a backend that takes snapshots sets it. */
  readonly snapshotAtEnd?: SnapshotAtEnd;
}

export interface SnapshotAtEnd extends Pick<TerminationFacts, "timeoutSeconds" | "deadlineAtMs" | "snapshot"> {
  /** Why none can be taken, null when one can; absent = one can while the sandbox runs. */
  readonly obstacle?: TerminationFacts["obstacle"] | null;
}

interface At {
  readonly nowMs: number;
  readonly retentionMs: number;
}

type Hold = Exclude<TerminationDecision, { readonly kind: "finish" }>;
type Finish = Extract<TerminationDecision, { readonly kind: "finish" }>;

export interface Decision {
  readonly phase: SandboxPhase;
  readonly reason: SandboxReason;
  readonly message?: string;
  /** Decide again at this moment, even when nothing is observed before. */
  readonly nextDeadlineMs?: number;
  /** Everything of the sandbox, its record included, is to be removed now. */
  readonly remove?: boolean;
  /** Present while the snapshot at the end holds the sandbox: its deadline is to be kept, and with `take` it is to be begun. */
  readonly snapshotAtEnd?: Hold;
  /** How the snapshot at the end ended, where one was wanted. */
  readonly snapshotEnded?: Omit<Finish, "kind">;
}

/**
 * The rules of a sandbox's life, the same for every backend: present facts to state and
 * next deadline. Level-based: the same facts give the same answer, however they came about.
 *
 * An ended sandbox stays ended; its record goes after `retentionMs` or on request.
 */
export function decide(observed: Observed, nowMs: number, retentionMs: number = DEFAULT_RETENTION_MS): Decision {
  const { removeRequestedAtMs } = observed;
  const outcome = observed.ended ?? (removeRequestedAtMs === undefined ? endOf(observed, nowMs) : undefined);
  const last = observed.ended === undefined && isGoing(observed, outcome) ? lastSnapshot(observed, nowMs) : undefined;
  if (last !== undefined && last.kind !== "finish") return snapshotting(last);
  const decision = decideOn(observed, withSnapshotFault(outcome, last), { nowMs, retentionMs });
  if (last === undefined) return decision;
  const { kind: _, ...snapshotEnded } = last;
  return { ...decision, snapshotEnded };
}

function decideOn(observed: Observed, outcome: Outcome | undefined, at: At): Decision {
  if (outcome !== undefined) return ended(observed, outcome, at);
  if (observed.removeRequestedAtMs !== undefined) return { phase: "Terminating", reason: "Deleting", remove: true };
  if (observed.startedAtMs !== undefined || isUp(observed)) return running(observed, at.nowMs);
  return pending(observed);
}

/** Whether it is being stopped, and not ended by itself; what has been begun goes on whatever is seen then. */
function isGoing(observed: Observed, outcome: Outcome | undefined): boolean {
  const { removeRequestedAtMs, stopRequestedAtMs, snapshotAtEnd } = observed;
  const isAsked = removeRequestedAtMs !== undefined || stopRequestedAtMs !== undefined;
  return isAsked || outcome?.reason === "Timeout" || snapshotAtEnd?.deadlineAtMs !== undefined;
}

/** The outcome to latch when a decision ended the sandbox, undefined while it lives. */
export function outcomeOf(decision: Decision, nowMs: number): Outcome | undefined {
  const { phase, reason, message } = decision;
  if (phase !== "Succeeded" && phase !== "Failed") return undefined;
  return { phase, reason, ...(message === undefined ? {} : { message }), atMs: nowMs };
}

function ended(observed: Observed, outcome: Outcome, at: At): Decision {
  const { phase, reason, message } = outcome;
  const deadlineMs = outcome.atMs + at.retentionMs;
  const state = { phase, reason, ...(message === undefined ? {} : { message }) };
  const over = observed.removeRequestedAtMs !== undefined || at.nowMs >= deadlineMs;
  return over ? { ...state, remove: true } : { ...state, nextDeadlineMs: deadlineMs };
}

function pending(observed: Observed): Decision {
  const nextDeadlineMs = pendingDeadline(observed);
  if (observed.waitsFor === undefined) return { phase: "Pending", reason: "PodPending", nextDeadlineMs };
  const message = `It waits for ${observed.waitsFor}.`;
  return { phase: "Pending", reason: "WaitingForSnapshot", message, nextDeadlineMs };
}

/** Whether a snapshot holds a sandbox that is about to go; undefined when none is wanted. */
function lastSnapshot(observed: Observed, nowMs: number): TerminationDecision | undefined {
  const { snapshotAtEnd, removeRequestedAtMs, stopRequestedAtMs } = observed;
  if (snapshotAtEnd === undefined) return undefined;
  const { obstacle = notRunning(observed), ...facts } = snapshotAtEnd;
  const fromMs = removeRequestedAtMs ?? stopRequestedAtMs;
  return decideTermination(
    { ...facts, ...(fromMs === undefined ? {} : { fromMs }), ...(obstacle === null ? {} : { obstacle }) },
    nowMs,
  );
}

function notRunning({ startedAtMs, containers = [] }: Observed): NonNullable<TerminationFacts["obstacle"]> | null {
  if (startedAtMs !== undefined && containers.some((container) => container.state !== "exited")) return null;
  const message = "The snapshot at the sandbox's end was not taken: the sandbox was not running.";
  return { reason: "RootfsSnapshotFailed", message };
}

function snapshotting(last: Hold): Decision {
  return {
    phase: "Terminating",
    reason: "RootfsSnapshottingInProgress",
    nextDeadlineMs: last.deadlineAtMs,
    snapshotAtEnd: last,
  };
}

function withSnapshotFault(outcome: Outcome | undefined, last: Finish | undefined): Outcome | undefined {
  if (outcome === undefined || last?.message === undefined) return outcome;
  return { ...outcome, message: [outcome.message, last.message].filter((part) => part !== undefined).join(" ") };
}

function running(observed: Observed, nowMs: number): Decision {
  const deadlineMs = lifetimeDeadline(observed, observed.lifetimeFromMs ?? observed.startedAtMs ?? nowMs);
  return {
    phase: "Running",
    reason: "PodRunning",
    ...(deadlineMs === undefined ? {} : { nextDeadlineMs: deadlineMs }),
  };
}

/** Facts before deadlines: what a container did is known, that time ran out is only a rule. */
function endOf(observed: Observed, nowMs: number): Outcome | undefined {
  const isStopping = observed.snapshotAtEnd?.deadlineAtMs !== undefined;
  // What happens while the last snapshot is being taken does not change why the sandbox ends.
  if (isStopping && isOverdue(observed, nowMs)) return timedOut(observed, nowMs);
  if (observed.failure !== undefined) return { phase: "Failed", ...observed.failure, atMs: nowMs };
  const exits = endOfContainers(observed.containers ?? []);
  if (exits !== undefined) return { ...exits, atMs: nowMs };
  if (isOverdue(observed, nowMs)) return timedOut(observed, nowMs);
  if (observed.startedAtMs !== undefined || isUp(observed) || nowMs < startupDeadline(observed)) return undefined;
  const why = observed.waitsFor === undefined ? "" : `: it waited for ${observed.waitsFor}`;
  const message = `The sandbox was not running ${observed.spec.startupTimeoutSeconds} s after its creation${why}.`;
  return { phase: "Failed", reason: "StartupTimeoutExceeded", message, atMs: nowMs };
}

function timedOut(observed: Observed, nowMs: number): Outcome {
  const message = `The sandbox reached its lifetime of ${observed.spec.timeoutSeconds} s.`;
  return { phase: "Succeeded", reason: "Timeout", message, atMs: nowMs };
}

function endOfContainers(containers: readonly ObservedContainer[]): Omit<Outcome, "atMs"> | undefined {
  if (containers.length === 0 || containers.some((container) => container.state !== "exited")) return undefined;
  const failed = containers.find((container) => container.exitCode !== 0);
  if (failed === undefined) return { phase: "Succeeded", reason: "PodSucceeded" };
  const how = failed.exitCode === undefined ? "ended without an exit code" : `exited with code ${failed.exitCode}`;
  return { phase: "Failed", reason: "PodFailed", message: `The container "${failed.name}" ${how}.` };
}

function isUp({ agentReady, containers }: Observed): boolean {
  return agentReady && containers !== undefined && containers.every((container) => container.state !== "waiting");
}

function isOverdue(observed: Observed, nowMs: number): boolean {
  const fromMs = observed.lifetimeFromMs ?? observed.startedAtMs;
  const deadlineMs = fromMs === undefined ? undefined : lifetimeDeadline(observed, fromMs);
  return deadlineMs !== undefined && nowMs >= deadlineMs;
}

function pendingDeadline(observed: Observed): number {
  const fromMs = observed.lifetimeFromMs;
  const lifetimeMs = fromMs === undefined ? undefined : lifetimeDeadline(observed, fromMs);
  return Math.min(startupDeadline(observed), lifetimeMs ?? Infinity);
}

function startupDeadline({ createdAtMs, spec }: Observed): number {
  return createdAtMs + spec.startupTimeoutSeconds * 1000;
}

function lifetimeDeadline({ spec }: Observed, startedAtMs: number): number | undefined {
  return spec.timeoutSeconds === undefined ? undefined : startedAtMs + spec.timeoutSeconds * 1000;
}
