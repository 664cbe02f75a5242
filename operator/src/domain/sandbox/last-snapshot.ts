import type { Condition } from "#api/crd/object.ts";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { AGENT_CONTAINER, ANNOTATION } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { usedPodUid } from "#core/kubernetes/used-pod.ts";
import type { Decision, SnapshotAtEnd } from "#core/lifecycle.ts";
import { hasEnded } from "#core/sandbox.ts";
import { terminationRequest } from "#core/snapshot/decide-termination.ts";
import { isGvisor } from "../gvisor-handler.ts";
import { runtimeMessage } from "../snapshot/target.ts";
import { isTerminationRecord } from "../termination-record.ts";
import { ownPod, type ObservedSandbox } from "./observed.ts";
import type { SandboxSettings } from "./settings.ts";

/** Whether the sandbox wants a snapshot at its end. */
export function wantsLastSnapshot({ sandbox }: Pick<ObservedSandbox, "sandbox">): boolean {
  return terminationRequest(sandbox.metadata.name, sandbox.spec.terminationPolicy) !== undefined;
}

/** The record of this sandbox's last snapshot. */
export function ownRecord({ sandbox, lastRecord }: ObservedSandbox): RootfsSnapshotResource | undefined {
  return lastRecord !== undefined && isTerminationRecord(lastRecord, sandbox) ? lastRecord : undefined;
}

/** What the rules of a sandbox's life need to know of its last snapshot; undefined where none is taken. */
export function snapshotAtEnd(observed: ObservedSandbox, { snapshots }: SandboxSettings): SnapshotAtEnd | undefined {
  const { metadata, spec, status } = observed.sandbox;
  const request = terminationRequest(metadata.name, spec.terminationPolicy);
  if (snapshots === undefined || request === undefined) return undefined;
  const record = ownRecord(observed);
  const { phase, message } = record === undefined ? {} : snapshotState(record);
  return {
    timeoutSeconds: request.spec.timeoutSeconds,
    obstacle: obstacleOf(observed),
    ...(status?.terminationDeadlineAt === undefined ? {} : { deadlineAtMs: Date.parse(status.terminationDeadlineAt) }),
    ...(phase === undefined ? {} : { snapshot: { phase, ...(message === undefined ? {} : { message }) } }),
  };
}

/** What the condition `RootfsSnapshot` is to say; undefined as long as it says nothing. */
export function lastSnapshotSaid(
  observed: ObservedSandbox,
  { snapshots }: SandboxSettings,
  decision: Decision,
): Pick<Condition, "status" | "reason" | "message"> | undefined {
  if (!wantsLastSnapshot(observed)) return undefined;
  const { phase, reason: end, snapshotEnded } = decision;
  if (decision.snapshotAtEnd !== undefined) {
    const message = "The snapshot at the sandbox's end is being taken.";
    return { status: "Unknown", reason: "RootfsSnapshottingInProgress", message };
  }
  if (snapshotEnded !== undefined) {
    const { reason, message = "The snapshot at the sandbox's end was taken." } = snapshotEnded;
    return { status: reason === "RootfsSnapshotComplete" ? "True" : "False", reason, message };
  }
  if (phase !== "Terminating" && !hasEnded(phase)) return undefined;
  const how = end === "SandboxLost" ? "was lost" : "ended by itself";
  const why = snapshots === undefined ? "this installation takes none" : `the sandbox ${how}`;
  return { status: "False", reason: "NoRootfsSnapshot", message: `The snapshot was not taken: ${why}.` };
}

function obstacleOf(observed: ObservedSandbox): SnapshotAtEnd["obstacle"] {
  const { recordFault, handler, lastRecord } = observed;
  const pod = ownPod(observed);
  if (pod === undefined) return barred("the sandbox has no pod");
  if (!isGvisor(handler)) return { reason: "InvalidRuntime", message: runtimeMessage(pod, handler) };
  const why = stateObstacle(observed, pod) ?? recordFault;
  if (why !== undefined) return barred(why);
  if (lastRecord === undefined || isPassing(lastRecord)) return null;
  return barred(`the name of its record, "${lastRecord.metadata.name}", is taken`);
}

/** Of one that is not this sandbox's: an earlier sandbox's of the name goes by itself. */
function isPassing({ metadata }: RootfsSnapshotResource): boolean {
  return metadata.deletionTimestamp !== undefined || metadata.annotations?.[ANNOTATION.sandboxUid] !== undefined;
}

function stateObstacle({ sandbox }: ObservedSandbox, pod: Pod): string | undefined {
  const name = savedContainerName(sandbox, pod);
  const state = pod.status?.containerStatuses?.find((status) => status.name === name)?.state;
  if (state?.running !== undefined) return undefined;
  if (state?.terminated !== undefined) return `its container "${name}" had ended`;
  // Clients may have used it before kubelet has said that it runs.
  return usedPodUid(sandbox) === pod.metadata.uid ? undefined : `its container "${name}" was not running`;
}

function savedContainerName(sandbox: ObservedSandbox["sandbox"], pod: Pod): string | undefined {
  const own = pod.spec.containers.find(({ name }) => name !== AGENT_CONTAINER);
  return (own ?? sandbox.spec.podTemplate.spec.containers[0])?.name;
}

function barred(why: string): NonNullable<SnapshotAtEnd["obstacle"]> {
  return { reason: "RootfsSnapshotFailed", message: `The snapshot at the sandbox's end was not taken: ${why}.` };
}
