import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { NETWORK_POLICIES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { ANNOTATION, SANDBOX_FINALIZER } from "#core/kubernetes/names.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { isSecondPod } from "#core/kubernetes/used-pod.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { hasEnded } from "#core/sandbox.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { removal, type Action, type Plan } from "../action.ts";
import { assess, type Assessment } from "./assess.ts";
import { terminationRecord } from "../termination-record.ts";
import { endEvent, lastSnapshotEvents, podCreatedEvent, recordCreatedEvent } from "./events.ts";
import { removalGraceSeconds } from "./grace.ts";
import { hadPod } from "./had-pod.ts";
import { ownRecord } from "./last-snapshot.ts";
import { isOwnedBy, ownPod, type ObservedSandbox } from "./observed.ts";
import { retentionMs } from "./retention.ts";
import type { SandboxSettings } from "./settings.ts";
import { nextStatus } from "./status.ts";
import { hasPolicy } from "./wanted.ts";

/**
 * What to do next for one sandbox. Pure and level-based: the same facts give the same plan, and
 * planning on what a plan has brought about yields nothing.
 */
export function plan(observed: ObservedSandbox, settings: SandboxSettings, nowMs: number): Plan {
  const { sandbox } = observed;
  const { deletionTimestamp, finalizers = [] } = sandbox.metadata;
  const isHeld = finalizers.includes(SANDBOX_FINALIZER);
  if (deletionTimestamp !== undefined && !isHeld) return { actions: [] };
  // Everything else waits for the answer: it carries the version that the next write must name.
  if (!isHeld) return { actions: [setFinalizers(observed, [...finalizers, SANDBOX_FINALIZER])] };
  if (needsConfirmation(observed)) return { actions: [], confirm: true };
  const assessment = assess(observed, settings, nowMs);
  if (losesRecord(observed, assessment)) return { actions: [], confirm: true };
  if (assessment.decision.snapshotAtEnd !== undefined) return planHold(observed, assessment, nowMs);
  if (deletionTimestamp !== undefined) return { actions: planRemoval(observed, assessment, nowMs) };
  return planLife(observed, { assessment, settings }, nowMs);
}

/** Without its pod the sandbox would be let go, or be called lost: a cache that is behind must not say so. */
function needsConfirmation(observed: ObservedSandbox): boolean {
  const { sandbox, isFresh } = observed;
  if (isFresh === true) return false;
  const pod = ownPod(observed);
  const isAlive = !hasEnded(sandboxState(sandbox).phase);
  if (pod !== undefined) return isAlive && isSecondPod(sandbox, pod);
  return sandbox.metadata.deletionTimestamp !== undefined || (hadPod(observed) && isAlive);
}

/** Without its record the last snapshot would be given up: a cache that is behind must not say so. */
function losesRecord(observed: ObservedSandbox, { decision }: Assessment): boolean {
  return decision.snapshotEnded !== undefined && ownRecord(observed) === undefined && observed.isFresh !== true;
}

/** The pod stays as it is while the snapshot at the end is taken; the deadline is kept before it begins. */
function planHold(observed: ObservedSandbox, assessment: Assessment, nowMs: number): Plan {
  const { nextDeadlineMs = nowMs, snapshotAtEnd } = assessment.decision;
  const stays = statusActions(observed, assessment, nowMs);
  const take = snapshotAtEnd?.kind === "take" ? taking(observed, snapshotAtEnd.deadlineAtMs, nowMs) : [];
  return { actions: [...stays, ...take], nextDeadlineMs };
}

/** What an earlier sandbox of the name has left to tell makes room. */
function taking(observed: ObservedSandbox, deadlineAtMs: number, nowMs: number): readonly Action[] {
  const { sandbox, lastRecord } = observed;
  if (lastRecord !== undefined) return isOver(lastRecord) ? [removal(ROOTFS_SNAPSHOTS, lastRecord)] : [];
  const record = terminationRecord(sandbox, { nowMs, deadlineAtMs });
  if (record === undefined) return [];
  return [{ kind: "create", resource: ROOTFS_SNAPSHOTS, object: record }, recordCreatedEvent(record)];
}

function isOver(record: RootfsSnapshotResource): boolean {
  return isFinished(snapshotState(record).phase) && record.metadata.deletionTimestamp === undefined;
}

/** The object stays until the pod is really gone. */
function planRemoval(observed: ObservedSandbox, assessment: Assessment, nowMs: number): readonly Action[] {
  const told = lastSnapshotEvents(observed, assessment);
  if (ownPod(observed) === undefined) {
    const others = (observed.sandbox.metadata.finalizers ?? []).filter((name) => name !== SANDBOX_FINALIZER);
    return [...told, ...recordRelease(observed), setFinalizers(observed, others)];
  }
  return [...statusActions(observed, assessment, nowMs), ...told, ...podRemoval(observed)];
}

function planLife(
  observed: ObservedSandbox,
  { assessment, settings }: { readonly assessment: Assessment; readonly settings: SandboxSettings },
  nowMs: number,
): Plan {
  const { decision, isNewEnd } = assessment;
  const stays = hasEnded(decision.phase)
    ? [
        ...statusActions(observed, assessment, nowMs),
        ...(isNewEnd ? [...lastSnapshotEvents(observed, assessment), endEvent(decision)] : []),
        ...podRemoval(observed),
      ]
    : [...creation(observed, assessment, nowMs), ...statusActions(observed, assessment, nowMs)];
  const provisionalMs = provisionalDeadlineMs(observed, settings);
  if (decision.remove === true && !isNewEnd) return { actions: [...stays, removal(SANDBOXES, observed.sandbox)] };
  if (provisionalMs <= nowMs) return { actions: [unconfirmed(observed)] };
  const endMs = isNewEnd ? nowMs + retentionMs(decision.reason, settings.retention) : decision.nextDeadlineMs;
  const retryMs = assessment.obstacle?.retryAtMs ?? Infinity;
  const nextDeadlineMs = Math.min(endMs ?? Infinity, provisionalMs, retryMs > nowMs ? retryMs : Infinity);
  return { actions: stays, ...(nextDeadlineMs === Infinity ? {} : { nextDeadlineMs }) };
}

function creation(observed: ObservedSandbox, assessment: Assessment, nowMs: number): readonly Action[] {
  const { policy, hold } = observed;
  const { wanted, pod, obstacle } = assessment;
  if (wanted?.kind !== "objects") return [];
  const apply: readonly Action[] =
    wanted.policy === undefined || hasPolicy(policy, wanted.policy)
      ? []
      : [{ kind: "apply", resource: NETWORK_POLICIES, object: wanted.policy }];
  const isLater = obstacle !== undefined && nowMs < obstacle.retryAtMs;
  if (pod !== undefined || hold !== undefined || isLater) return apply;
  return [...apply, { kind: "create", resource: PODS, object: wanted.pod }, podCreatedEvent(wanted.pod)];
}

function statusActions({ sandbox }: ObservedSandbox, assessment: Assessment, nowMs: number): readonly Action[] {
  // The end is latched: whatever is seen afterwards, its words stay.
  if (hasEnded(assessment.decision.phase) && !assessment.isNewEnd) return [];
  const status = nextStatus(sandbox.status, { ...assessment.statusFacts, nowMs });
  if (status === undefined) return [];
  const { name, namespace, uid, resourceVersion } = sandbox.metadata;
  const metadata = { name, namespace, uid, resourceVersion };
  return [{ kind: "patchStatus", resource: SANDBOXES, object: { metadata, status } as KubeObject }];
}

/** Also of a pod that others remove: the time that it has for a snapshot is asked back. Kubelets may not give it. */
function podRemoval(observed: ObservedSandbox): readonly Action[] {
  const pod = ownPod(observed);
  if (pod === undefined) return [];
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod.metadata;
  const grace = removalGraceSeconds(observed.sandbox.spec);
  if (deletionTimestamp !== undefined && (grace === undefined || deletionGracePeriodSeconds <= grace)) return [];
  return [{ ...removal(PODS, pod), ...(grace === undefined ? {} : { gracePeriodSeconds: grace }) }];
}

/** The record says for some time yet what became of the last snapshot. */
function recordRelease(observed: ObservedSandbox): readonly Action[] {
  const record = ownRecord(observed);
  if (record === undefined || !isOwnedBy(record, observed.sandbox)) return [];
  return [{ kind: "release", resource: ROOTFS_SNAPSHOTS, object: record }];
}

function setFinalizers({ sandbox }: ObservedSandbox, finalizers: readonly string[]): Action {
  return { kind: "setFinalizers", resource: SANDBOXES, object: sandbox, finalizers };
}

function provisionalDeadlineMs({ sandbox }: ObservedSandbox, settings: SandboxSettings): number {
  const { annotations, creationTimestamp = "" } = sandbox.metadata;
  if (annotations?.[ANNOTATION.provisional] === undefined) return Infinity;
  return Date.parse(creationTimestamp) + settings.provisionalMs;
}

/** Its creator never said that anybody knows of it; a confirmation that comes first wins. */
function unconfirmed({ sandbox }: ObservedSandbox): Action {
  const { resourceVersion } = sandbox.metadata;
  return { ...removal(SANDBOXES, sandbox), ...(resourceVersion === undefined ? {} : { resourceVersion }) };
}
