import { createdAtMsOf } from "#core/kubernetes/created-at.ts";
import { ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import { snapshotState, type SnapshotState } from "#core/kubernetes/snapshot-state.ts";
import { decideSnapshot, type SnapshotFacts } from "#core/snapshot/decide-snapshot.ts";
import { SETTLE_MS } from "#core/snapshot/publish-times.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { removal, type Plan } from "../action.ts";
import type { ObservedSnapshot } from "./observed.ts";
import { NODE_LOOK_MS } from "./settle-times.ts";
import { assign, fail, settle, wait } from "./status.ts";
import { chooseTarget } from "./target.ts";

/**
 * What to do next for one record of a snapshot. Pure and level-based, as the plan of a sandbox. It
 * ends nothing that may yet be published: from `publishBy` on only the mounters say how it ended.
 */
export function planSnapshot(observed: ObservedSnapshot, nowMs: number): Plan {
  const { record } = observed;
  const state = snapshotState(record);
  if (isFinished(state.phase)) return planExpiry(observed, state, nowMs);
  if (record.status?.publishBy !== undefined) return planSettling(observed, record.status.publishBy, nowMs);
  if (state.startedAtMs !== undefined) return planTaking(observed, state.startedAtMs, nowMs);
  return planBeginning(observed, nowMs);
}

/** The record goes after its time; what was written stays. */
function planExpiry({ record }: ObservedSnapshot, { expiresAtMs }: SnapshotState, nowMs: number): Plan {
  if (expiresAtMs === undefined || record.metadata.deletionTimestamp !== undefined) return { actions: [] };
  if (nowMs < expiresAtMs) return { actions: [], nextDeadlineMs: expiresAtMs };
  const { resourceVersion } = record.metadata;
  // Somebody may just have given it more time.
  const version = resourceVersion === undefined ? {} : { resourceVersion };
  return { actions: [{ ...removal(ROOTFS_SNAPSHOTS, record), ...version }] };
}

/** Its mounter may have put the manifest, or may do so yet: nobody else says how it ended but who asks the store. */
function planSettling({ record }: ObservedSnapshot, publishBy: string, nowMs: number): Plan {
  if (record.status?.settle === true) return { actions: [] };
  const atMs = Math.max(Date.parse(publishBy) + SETTLE_MS, deadlineMsOf(record));
  return nowMs < atMs ? { actions: [], nextDeadlineMs: atMs } : { actions: [settle(record)] };
}

function planTaking(observed: ObservedSnapshot, startedAtMs: number, nowMs: number): Plan {
  const { record, podIsGone, nodeIsGone } = observed;
  const message = `The node "${record.status?.nodeName}" is gone, on which the snapshot was being taken.`;
  const failure = nodeIsGone === true ? { failure: { reason: "SandboxLost" as const, message } } : {};
  const decision = decideSnapshot({ ...factsOf(record), startedAtMs, ...failure }, nowMs);
  if (isFinished(decision.phase)) return { actions: [fail(record, decision, nowMs)] };
  const nextDeadlineMs = decision.nextDeadlineMs ?? Infinity;
  return {
    actions: [],
    nextDeadlineMs: podIsGone === true ? Math.min(nextDeadlineMs, nowMs + NODE_LOOK_MS) : nextDeadlineMs,
  };
}

function planBeginning(observed: ObservedSnapshot, nowMs: number): Plan {
  const { record, behind } = observed;
  // Nobody would ever begin it; one that was begun while snapshots were taken ends as any other.
  if (observed.takesNone === true) return { actions: [fail(record, NOT_SUPPORTED, nowMs)] };
  const waiting = decideSnapshot({ ...factsOf(record), ...(behind === undefined ? {} : { behind }) }, nowMs);
  if (isFinished(waiting.phase)) return { actions: [fail(record, waiting, nowMs)] };
  // Nobody waits for one that is being removed: no node begins with it.
  if (record.metadata.deletionTimestamp !== undefined) return { actions: [fail(record, REMOVED, nowMs)] };
  const { nextDeadlineMs = Infinity } = waiting;
  if (behind !== undefined) {
    const said = wait(record, waiting, nowMs);
    return { actions: said === undefined ? [] : [said], nextDeadlineMs };
  }
  const choice = chooseTarget(observed, nowMs);
  if (choice.kind === "wait") return { actions: [], nextDeadlineMs: Math.min(nextDeadlineMs, choice.untilMs) };
  if (choice.kind === "target") return { actions: [assign(record, choice.target, nowMs)], nextDeadlineMs };
  if (observed.isFresh !== true) return { actions: [], confirm: true };
  const { reason, message } = choice;
  return { actions: [fail(record, { phase: "Failed", reason, message }, nowMs)] };
}

const NOT_SUPPORTED = {
  phase: "Failed",
  reason: "NotSupported",
  message: "This installation takes no snapshots: no store is configured for them.",
} as const;

const REMOVED = {
  phase: "Failed",
  reason: "DumpFailed",
  message: "The record was removed before the snapshot was begun.",
} as const;

function factsOf(record: ObservedSnapshot["record"]): SnapshotFacts {
  const { progress } = record.status ?? {};
  return { spec: record.spec, createdAtMs: createdAtMsOf(record), ...(progress === undefined ? {} : { progress }) };
}

function deadlineMsOf(record: ObservedSnapshot["record"]): number {
  return createdAtMsOf(record) + record.spec.timeoutSeconds * 1000;
}
