import type { Condition } from "#api/crd/object.ts";
import type { SandboxStatusResource } from "#api/crd/sandbox.ts";
import { CAUSE, conditionOf, contractReason } from "#core/kubernetes/sandbox-state.ts";
import type { Decision } from "#core/lifecycle.ts";
import type { SandboxReason } from "#core/sandbox.ts";
import { formatTime } from "../rfc3339.ts";

/** What a status is made of. */
export interface StatusFacts {
  readonly decision: Decision;
  readonly nowMs: number;
  /** Kubelet's word that the pod is ready. */
  readonly podReady: boolean;
  readonly podIp?: string;
  readonly timeoutAtMs?: number;
  readonly sidecarVersion?: string;
  /** What a start waits for, and whether the pod could not even be created. */
  readonly waiting?: { readonly message: string; readonly creationFailed: boolean };
  /** What there is to say of the snapshot that the termination policy asks for. */
  readonly lastSnapshot?: Said;
}

type Said = Pick<Condition, "status" | "reason" | "message">;
type Status = SandboxStatusResource;

/** Conditions stand in this order. */
const TYPES = ["Ready", "Succeeded", "PodReady", "NetworkConfigured", "RootfsSnapshot", CAUSE];
/** Ends before there was a pod. */
const WITHOUT_POD: ReadonlySet<SandboxReason> = new Set<SandboxReason>([
  "PodCreationFailed",
  "NetworkPolicyFailed",
  "RootfsRestoreConfigurationError",
  "SnapshotDamaged",
]);

/**
 * The status that the facts ask for, whole; undefined when the sandbox has it. While a start goes
 * well nothing is said, as a new object shows already that it is pending.
 */
export function nextStatus(previous: Status | undefined, facts: StatusFacts): Status | undefined {
  // What mounters say is theirs.
  const { rootfsRestores: _, ...before } = previous ?? {};
  const { phase } = facts.decision;
  const next =
    phase === "Pending"
      ? pending(before, facts)
      : phase === "Running"
        ? running(before, facts)
        : phase === "Terminating"
          ? terminating(before, facts)
          : ended(before, facts);
  return isSame(before, next) ? undefined : next;
}

function pending(before: Status, { waiting, nowMs }: StatusFacts): Status {
  if (waiting !== undefined) {
    const { message, creationFailed } = waiting;
    const reason = creationFailed ? "PodCreationFailed" : "PodPending";
    const ready: Said = { status: creationFailed ? "False" : "Unknown", reason, message };
    return withConditions(before, { Ready: ready, PodReady: { status: "False", reason, message } }, nowMs);
  }
  const said = conditionOf(before, "Ready")?.reason;
  if (said === undefined || said === "PodPending") return before;
  const message = "The sandbox's pod is starting.";
  const ready: Said = { status: "Unknown", reason: "PodPending", message };
  return withConditions(before, { Ready: ready, PodReady: { ...ready, status: "False" } }, nowMs);
}

function running(before: Status, facts: StatusFacts): Status {
  const pod: Said = facts.podReady
    ? { status: "True", reason: "PodRunning", message: "Every container of the pod is ready." }
    : { status: "False", reason: "PodPending", message: "Not every container of the pod is ready." };
  const said = {
    Ready: { status: "True", reason: "PodRunning", message: "The sandbox is running." },
    PodReady: pod,
    NetworkConfigured: networkConfigured(),
  } as const;
  const podIP = facts.podIp ?? before.podIP;
  return {
    ...withConditions(before, said, facts.nowMs),
    ...timeout(before, facts),
    ...(podIP === undefined ? {} : { podIP }),
    ...(facts.sidecarVersion === undefined ? {} : { sidecarVersion: facts.sidecarVersion }),
  };
}

function terminating(before: Status, facts: StatusFacts): Status {
  const { snapshotAtEnd } = facts.decision;
  const ready: Said =
    snapshotAtEnd === undefined
      ? { status: "False", reason: "Deleting", message: "The sandbox is being deleted." }
      : {
          status: "False",
          reason: "RootfsSnapshottingInProgress",
          message: "A snapshot is taken before the sandbox goes.",
        };
  const status = withConditions(before, { Ready: ready, ...snapshot(facts) }, facts.nowMs);
  return withoutAddress({ ...status, ...terminationDeadline(before, snapshotAtEnd?.deadlineAtMs) });
}

/** `Succeeded` is written once: later calls carry the decision that it was made of. */
function ended(before: Status, facts: StatusFacts): Status {
  const { phase, reason, message = "" } = facts.decision;
  const told = { reason: contractReason(reason), message };
  // The contract knows this one reason for Ready, but not as the reason of an end.
  const readyReason = reason === "PodCreationFailed" ? reason : told.reason;
  const podReason = reason === "PodSucceeded" || reason === "Timeout" ? "PodSucceeded" : "PodFailed";
  const said: Record<string, Said> = {
    Ready: { status: "False", ...told, reason: readyReason },
    Succeeded: { status: phase === "Succeeded" ? "True" : "False", ...told },
    PodReady: { status: "False", ...told, reason: WITHOUT_POD.has(reason) ? "PodCreationFailed" : podReason },
    ...(told.reason === reason ? {} : { [CAUSE]: { status: "True", reason, message } }),
    ...snapshot(facts),
  };
  return withoutAddress({ ...withConditions(before, said, facts.nowMs), ...timeout(before, facts) });
}

function networkConfigured(): Said {
  return { status: "True", reason: "NetworkPolicyApplied", message: "The sandbox's network policies are in place." };
}

function snapshot({ lastSnapshot }: StatusFacts): Record<string, Said> {
  return lastSnapshot === undefined ? {} : { RootfsSnapshot: lastSnapshot };
}

/** Nothing moves what was said first; a part of a second is for the snapshot. */
function terminationDeadline({ terminationDeadlineAt }: Status, atMs: number | undefined): Status {
  if (terminationDeadlineAt !== undefined || atMs === undefined) return {};
  return { terminationDeadlineAt: formatTime(Math.ceil(atMs / 1000) * 1000) };
}

function timeout(before: Status, { timeoutAtMs }: StatusFacts): Pick<Status, "timeoutAt"> {
  if (before.timeoutAt !== undefined) return { timeoutAt: before.timeoutAt };
  return timeoutAtMs === undefined ? {} : { timeoutAt: formatTime(timeoutAtMs) };
}

/** The address may soon be another sandbox's: nobody must send anything there. */
function withoutAddress(status: Status): Status {
  const { podIP, ...others } = status;
  return podIP === undefined ? status : others;
}

function withConditions(before: Status, said: Readonly<Record<string, Said>>, nowMs: number): Status {
  const lastTransitionTime = formatTime(nowMs);
  const next = TYPES.flatMap((type): Condition[] => {
    const old = conditionOf(before, type);
    const now = said[type];
    if (now === undefined) return old === undefined ? [] : [old];
    const kept = old?.status === now.status ? old.lastTransitionTime : lastTransitionTime;
    return [{ type, ...now, lastTransitionTime: kept }];
  });
  return { ...before, conditions: next };
}

function isSame(a: Status, b: Status): boolean {
  return a === b || JSON.stringify(ordered(a)) === JSON.stringify(ordered(b));
}

function ordered({
  conditions = [],
  timeoutAt,
  terminationDeadlineAt,
  podIP,
  sidecarVersion,
}: Status): readonly unknown[] {
  const listed = conditions
    .map(({ type, status, reason, message, lastTransitionTime }) => [type, status, reason, message, lastTransitionTime])
    .sort(([a = ""], [b = ""]) => a.localeCompare(b));
  return [listed, timeoutAt, terminationDeadlineAt, podIP, sidecarVersion];
}
