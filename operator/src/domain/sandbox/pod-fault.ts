import { AGENT_CONTAINER } from "#core/kubernetes/names.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import { quoted, type Fault } from "./fault.ts";
import { agentStatus } from "./agent-status.ts";
import { startFault } from "./waiting-fault.ts";

const START_ERRORS = new Set(["StartError", "ContainerCannotRun"]);
const DISK = /ephemeral[- ]storage|ephemeral local storage|disk ?pressure|emptydir|inodes/i;

/** A fault that ends the sandbox, whatever exit codes its containers show; undefined when there is none. */
export function podFault(pod: Pod): Fault | undefined {
  return (
    outOfMemory(pod) ??
    failedByNode(pod) ??
    removedByOthers(pod) ??
    startError(pod) ??
    failedPhase(pod) ??
    agentLost(pod)
  );
}

function allStatuses({ status }: Pod): readonly ContainerStatus[] {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
}

function ownStatuses({ status }: Pod): readonly ContainerStatus[] {
  return (status?.containerStatuses ?? []).filter(({ name }) => name !== AGENT_CONTAINER);
}

/** All containers share one kernel in one control group: whichever is reported, the sandbox as a whole is gone. */
function outOfMemory(pod: Pod): Fault | undefined {
  const isKilled = ({ state, lastState }: ContainerStatus): boolean =>
    [state, lastState].some((end) => end?.terminated?.reason === "OOMKilled");
  if (!allStatuses(pod).some(isKilled)) return undefined;
  return { reason: "OutOfMemory", message: "The sandbox used more memory than its limit and was stopped." };
}

/** Kubelet gives a pod a reason only when it ends the pod itself: eviction, shutdown of the node, no admission. */
function failedByNode({ status }: Pod): Fault | undefined {
  if (status?.phase !== "Failed" || status.reason === undefined || status.reason === "") return undefined;
  const text = quoted(status.message, status.reason);
  const isDisk = status.reason === "Evicted" && DISK.test(text);
  return { reason: isDisk ? "DiskPressure" : "PodFailed", message: `The node ended the sandbox: ${text}.` };
}

/** A container that had ended before somebody removed the pod has told its own end. */
function removedByOthers(pod: Pod): Fault | undefined {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod.metadata;
  if (deletionTimestamp === undefined) return undefined;
  const requestedAtMs = Date.parse(deletionTimestamp) - deletionGracePeriodSeconds * 1000;
  const own = ownStatuses(pod);
  const endedBefore = ({ state }: ContainerStatus): boolean =>
    state?.terminated?.finishedAt !== undefined && Date.parse(state.terminated.finishedAt) < requestedAtMs;
  if (own.length > 0 && own.every(endedBefore)) return undefined;
  const disruption = pod.status?.conditions?.find(
    ({ type, status }) => type === "DisruptionTarget" && status === "True",
  );
  const why = quoted(disruption?.message, "somebody removed its pod");
  return { reason: "SandboxLost", message: `The sandbox was lost: ${why}.` };
}

function hasStarted({ state }: ContainerStatus): boolean {
  return state?.running !== undefined || state?.terminated !== undefined;
}

function startError(pod: Pod): Fault | undefined {
  const failed = allStatuses(pod).find(({ state }) => START_ERRORS.has(state?.terminated?.reason ?? ""));
  return failed === undefined ? undefined : startFault(failed.name, failed.state?.terminated?.message);
}

/** The pod as a whole has failed although not all of the user's containers have ended. */
function failedPhase(pod: Pod): Fault | undefined {
  const own = ownStatuses(pod);
  const unknown = own.find(({ state }) => state?.terminated?.reason === "ContainerStatusUnknown");
  if (unknown !== undefined) {
    return { reason: "SandboxLost", message: `The node no longer knows container "${unknown.name}" of the sandbox.` };
  }
  if (pod.status?.phase !== "Failed") return undefined;
  if (own.length > 0 && own.every(({ state }) => state?.terminated !== undefined)) return undefined;
  const init = pod.status.initContainerStatuses?.find(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
  const code = init?.state?.terminated?.exitCode;
  const message =
    init === undefined
      ? `The pod failed: ${quoted(pod.status.message, "its node named no cause")}.`
      : `The init container "${init.name}" exited with code ${code}.`;
  return { reason: "PodFailed", message };
}

/**
 * Its supervisor brings the agent back. Nothing brings back a container that has ended, and where
 * kubelet starts another in its place, that one knows nothing of what was run.
 */
function agentLost(pod: Pod): Fault | undefined {
  const agent = agentStatus(pod);
  const others = ownStatuses(pod);
  const end = agent?.state?.terminated ?? (others.some(hasStarted) ? agent?.lastState?.terminated : undefined);
  if (end === undefined || others.every(({ state }) => state?.terminated !== undefined)) return undefined;
  const { exitCode } = end;
  return { reason: "AgentLost", message: `The sandbox's agent ended with code ${exitCode}: it can no longer be used.` };
}
