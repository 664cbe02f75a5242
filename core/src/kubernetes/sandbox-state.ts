import type { Condition } from "#api/crd/object.ts";
import type { SandboxResource, SandboxStatusResource } from "#api/crd/sandbox.ts";
import { hasEnded, type SandboxPhase, type SandboxReason } from "#core/sandbox.ts";

/**
 * Type of the condition that holds the precise reason of an end where the contract's own reasons
 * are coarser: `Ready` and `Succeeded` then say `PodFailed`, and this one, always `True`, says for
 * example `ImageNotFound`. Readers who know the contract alone lose nothing.
 */
export const CAUSE = "Cause";

/** What a Sandbox object says of its sandbox. */
export interface SandboxState {
  readonly phase: SandboxPhase;
  /** The precise one; absent before the first word of the operator. */
  readonly reason?: SandboxReason;
  readonly message?: string;
  /** Milliseconds since the Unix epoch: when it began to run, and when it ended. */
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
}

/** Reason of `Ready` while the snapshot at a sandbox's end is being taken. */
const SNAPSHOTTING = "RootfsSnapshottingInProgress";

const REASONS: Readonly<Record<SandboxReason, SandboxReason>> = {
  PodPending: "PodPending",
  PodRunning: "PodRunning",
  PodSucceeded: "PodSucceeded",
  PodFailed: "PodFailed",
  PodCreationFailed: "PodFailed",
  StartupTimeoutExceeded: "StartupTimeoutExceeded",
  Timeout: "Timeout",
  Deleting: "Deleting",
  NetworkPolicyFailed: "NetworkPolicyFailed",
  RootfsRestoreConfigurationError: "RootfsRestoreConfigurationError",
  RootfsSnapshottingInProgress: "RootfsSnapshottingInProgress",
  WaitingForSnapshot: "PodPending",
  SnapshotDamaged: "RootfsRestoreConfigurationError",
  ImageNotFound: "PodFailed",
  ImagePullDenied: "PodFailed",
  ImagePullFailed: "PodFailed",
  CommandNotFound: "PodFailed",
  OutOfMemory: "PodFailed",
  PidsExhausted: "PodFailed",
  DiskPressure: "PodFailed",
  AgentLost: "PodFailed",
  SandboxLost: "PodFailed",
};

/** The reason among the cluster contract's that `Ready` and `Succeeded` bear for ours. */
export function contractReason(reason: SandboxReason): SandboxReason {
  return REASONS[reason];
}

export function conditionOf(
  status: Pick<SandboxStatusResource, "conditions"> | undefined,
  type: string,
): Condition | undefined {
  return status?.conditions?.find((condition) => condition.type === type);
}

/**
 * The state that an object reports: an end is latched and wins over everything, then a removal,
 * then readiness. The operator writes `Ready` when kubelet says so; who knows earlier that a
 * sandbox runs may say so for itself.
 */
export function sandboxState({ metadata, status }: Pick<SandboxResource, "metadata" | "status">): SandboxState {
  const ready = conditionOf(status, "Ready");
  const succeeded = conditionOf(status, "Succeeded");
  const phase = phaseOf({ succeeded, ready, deleting: metadata.deletionTimestamp !== undefined });
  const said = hasEnded(phase)
    ? (conditionOf(status, CAUSE) ?? succeeded)
    : phase === "Terminating"
      ? undefined
      : ready;
  const reason = phase === "Terminating" ? reasonOfGoing(ready) : asReason(said?.reason);
  const startedAtMs = ready?.status === "True" ? Date.parse(ready.lastTransitionTime) : undefined;
  const endedAtMs = hasEnded(phase) && succeeded !== undefined ? Date.parse(succeeded.lastTransitionTime) : undefined;
  return {
    phase,
    ...(reason === undefined ? {} : { reason }),
    ...(said === undefined || said.message === "" ? {} : { message: said.message }),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(endedAtMs === undefined ? {} : { endedAtMs }),
  };
}

function phaseOf(seen: { succeeded: Condition | undefined; ready: Condition | undefined; deleting: boolean }) {
  if (seen.succeeded?.status === "True") return "Succeeded";
  if (seen.succeeded?.status === "False") return "Failed";
  if (seen.deleting || isGoing(seen.ready)) return "Terminating";
  return seen.ready?.status === "True" ? "Running" : "Pending";
}

function isGoing(ready: Condition | undefined): boolean {
  return ready?.reason === "Deleting" || ready?.reason === SNAPSHOTTING;
}

function reasonOfGoing(ready: Condition | undefined): SandboxReason {
  return ready?.reason === SNAPSHOTTING ? SNAPSHOTTING : "Deleting";
}

function asReason(text: string | undefined): SandboxReason | undefined {
  return text !== undefined && Object.hasOwn(REASONS, text) ? (text as SandboxReason) : undefined;
}
