import type { SandboxResource } from "#api/crd/sandbox.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { decide, type Decision, type Observed, type Outcome } from "#core/lifecycle.ts";
import { isSecondPod } from "#core/kubernetes/used-pod.ts";
import { hasEnded } from "#core/sandbox.ts";
import { observeRestores, type RestoreFacts } from "../restore/observe.ts";
import { restoreSources } from "../restore/sources.ts";
import type { Fault } from "./fault.ts";
import { lastSnapshotSaid, snapshotAtEnd } from "./last-snapshot.ts";
import { observePod, type PodFacts } from "./observe.ts";
import { foreignPod, ownPod, type CreationFault, type ObservedSandbox } from "./observed.ts";
import { hadPod } from "./had-pod.ts";
import { retentionMs } from "./retention.ts";
import type { SandboxSettings } from "./settings.ts";
import type { StatusFacts } from "./status.ts";
import { wantedObjects, type Wanted } from "./wanted.ts";

/** What the facts mean for a sandbox. */
export interface Assessment {
  readonly decision: Decision;
  /** The decision ends a sandbox that had not ended before. */
  readonly isNewEnd: boolean;
  /** Of the sandbox's own pod. */
  readonly pod?: PodFacts;
  /** What keeps the pod from being created. */
  readonly obstacle?: CreationFault;
  /** Absent where nothing is wanted any more. */
  readonly wanted?: Wanted;
  readonly statusFacts: Omit<StatusFacts, "nowMs">;
}

/** What clients did in the pod that they used is not in this one. */
const REPLACED: Fault = {
  reason: "SandboxLost",
  message: "The sandbox was lost: the pod that was used is gone, and an empty one is in its place.",
};

/** Applies the rules of a sandbox's life to what is observed. */
export function assess(observed: ObservedSandbox, settings: SandboxSettings, nowMs: number): Assessment {
  const { sandbox } = observed;
  const own = ownPod(observed);
  const pod = own === undefined ? undefined : observePod(own);
  const state = sandboxState(sandbox);
  const isAlive = !hasEnded(state.phase) && sandbox.metadata.deletionTimestamp === undefined;
  const wanted = isAlive ? wantedObjects(sandbox, settings, observed) : undefined;
  const obstacle = isAlive && pod === undefined ? obstacleOf(observed) : undefined;
  const isSecond = own !== undefined && isSecondPod(sandbox, own);
  const restores = own === undefined || state.phase !== "Pending" ? undefined : restoresIn(sandbox, own, settings);
  const fault =
    pod === undefined ? faultWithoutPod(observed, wanted) : isSecond ? REPLACED : (pod.fault ?? restores?.fault);
  const ended = endedBefore(observed);
  const lifetimeFromMs = lifetimeStartMs(observed, pod);
  const facts: Observed = {
    spec: sandbox.spec,
    // Before there is a pod the start has not begun, unless the pod is refused again and again.
    createdAtMs: pod?.createdAtMs ?? (obstacle === undefined ? nowMs : createdAtMs(observed)),
    agentReady: pod?.agentReady === true && restores?.isComplete !== false,
    ...(state.startedAtMs === undefined ? {} : { startedAtMs: state.startedAtMs }),
    ...(lifetimeFromMs === undefined ? {} : { lifetimeFromMs }),
    ...(sandbox.metadata.deletionTimestamp === undefined
      ? {}
      : { removeRequestedAtMs: Date.parse(sandbox.metadata.deletionTimestamp) }),
    ...(ended === undefined ? {} : { ended }),
    ...(pod?.containers === undefined ? {} : { containers: pod.containers }),
    ...(fault === undefined ? {} : { failure: fault }),
    ...(restores?.waitsFor === undefined ? {} : { waitsFor: restores.waitsFor }),
    ...lastSnapshotFacts(observed, settings),
  };
  const retention = ended === undefined ? undefined : retentionMs(ended.reason, settings.retention);
  const waiting = waitingFor(observed, pod, obstacle);
  const decision = explained(decide(facts, nowMs, retention), waiting?.message);
  const said = lastSnapshotSaid(observed, settings, decision);
  const isNewEnd = hasEnded(decision.phase) && ended === undefined;
  return {
    decision,
    isNewEnd,
    ...(pod === undefined ? {} : { pod }),
    ...(obstacle === undefined ? {} : { obstacle }),
    ...(wanted === undefined ? {} : { wanted }),
    statusFacts: {
      decision,
      podReady: pod?.podReady ?? false,
      ...(pod?.podIp === undefined ? {} : { podIp: pod.podIp }),
      ...timeoutAt(observed, lifetimeFromMs),
      ...sidecarVersion(own?.metadata.annotations),
      ...waitingSaid(waiting, restores),
      ...(said === undefined ? {} : { lastSnapshot: said }),
    },
  };
}

/** What keeps the pod from being created, when an attempt has shown it. */
function obstacleOf({ pod, creationFault }: ObservedSandbox): CreationFault | undefined {
  if (pod === undefined) return creationFault;
  return { message: foreignPod(pod), isFinal: false, retryAtMs: Infinity };
}

function faultWithoutPod(observed: ObservedSandbox, wanted: Wanted | undefined): Fault | undefined {
  if (hadPod(observed)) return { reason: "SandboxLost", message: "The sandbox was lost: its pod is gone." };
  if (wanted?.kind === "fault") return wanted.fault;
  const { creationFault } = observed;
  return creationFault?.isFinal === true ? { reason: "PodCreationFailed", message: creationFault.message } : undefined;
}

function endedBefore({ sandbox }: ObservedSandbox): Outcome | undefined {
  const { phase, reason, message, endedAtMs = 0 } = sandboxState(sandbox);
  if (phase !== "Succeeded" && phase !== "Failed") return undefined;
  const fallback = phase === "Succeeded" ? "PodSucceeded" : "PodFailed";
  return { phase, reason: reason ?? fallback, ...(message === undefined ? {} : { message }), atMs: endedAtMs };
}

function createdAtMs({ sandbox }: ObservedSandbox): number {
  return Date.parse(sandbox.metadata.creationTimestamp ?? "");
}

/** Kubelet's start of the pod; once written, what the status says. */
function lifetimeStartMs({ sandbox }: ObservedSandbox, pod: PodFacts | undefined): number | undefined {
  const { timeoutAt } = sandbox.status ?? {};
  const { timeoutSeconds } = sandbox.spec;
  if (timeoutSeconds === undefined) return undefined;
  return timeoutAt === undefined ? pod?.startTimeMs : Date.parse(timeoutAt) - timeoutSeconds * 1000;
}

function timeoutAt({ sandbox }: ObservedSandbox, fromMs: number | undefined): Pick<StatusFacts, "timeoutAtMs"> {
  const { timeoutSeconds } = sandbox.spec;
  return fromMs === undefined || timeoutSeconds === undefined ? {} : { timeoutAtMs: fromMs + timeoutSeconds * 1000 };
}

function sidecarVersion(annotations: Readonly<Record<string, string>> = {}): Pick<StatusFacts, "sidecarVersion"> {
  const version = annotations[ANNOTATION.sidecarVersion];
  return version === undefined ? {} : { sidecarVersion: version };
}

function waitingFor(
  { hold }: ObservedSandbox,
  pod: PodFacts | undefined,
  obstacle: CreationFault | undefined,
): StatusFacts["waiting"] {
  if (pod !== undefined) return pod.waiting === undefined ? undefined : { message: pod.waiting, creationFailed: false };
  if (hold !== undefined) return { message: hold, creationFailed: false };
  return obstacle === undefined ? undefined : { message: obstacle.message, creationFailed: true };
}

function waitingSaid(
  waiting: StatusFacts["waiting"],
  restores: RestoreFacts | undefined,
): Pick<StatusFacts, "waiting"> {
  if (waiting !== undefined) return { waiting };
  return restores?.waiting === undefined ? {} : { waiting: { message: restores.waiting, creationFailed: false } };
}

function restoresIn(sandbox: SandboxResource, pod: Pod, { snapshots }: SandboxSettings): RestoreFacts | undefined {
  const isRestored = snapshots !== undefined && restoreSources(sandbox.spec).length > 0;
  return isRestored ? observeRestores(sandbox, pod) : undefined;
}

/** A pod that is being stopped while its sandbox is not is stopped by others: kubelet holds it for the snapshot. */
function lastSnapshotFacts(
  observed: ObservedSandbox,
  settings: SandboxSettings,
): Pick<Observed, "snapshotAtEnd" | "stopRequestedAtMs"> {
  const facts = snapshotAtEnd(observed, settings);
  if (facts === undefined) return {};
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = ownPod(observed)?.metadata ?? {};
  if (deletionTimestamp === undefined) return { snapshotAtEnd: facts };
  return {
    snapshotAtEnd: facts,
    stopRequestedAtMs: Date.parse(deletionTimestamp) - deletionGracePeriodSeconds * 1000,
  };
}

/** A start that took too long names what it waited for. */
function explained(decision: Decision, waiting: string | undefined): Decision {
  if (decision.reason !== "StartupTimeoutExceeded" || waiting === undefined) return decision;
  return { ...decision, message: [decision.message, waiting].filter((part) => part !== undefined).join(" ") };
}
