import { AGENT_CONTAINER } from "#core/kubernetes/names.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import type { ObservedContainer } from "#core/lifecycle.ts";
import { agentStatus } from "./agent-status.ts";
import type { Fault } from "./fault.ts";
import { podFault } from "./pod-fault.ts";
import { hindranceOf } from "./waiting-fault.ts";

/** What a pod says about its sandbox. */
export interface PodFacts {
  /** The user's, without the agent's; absent until kubelet reports them. */
  readonly containers?: readonly ObservedContainer[];
  readonly agentReady: boolean;
  /** Kubelet's word that the pod is ready. */
  readonly podReady: boolean;
  readonly createdAtMs: number;
  /** When kubelet took the pod. */
  readonly startTimeMs?: number;
  readonly podIp?: string;
  readonly fault?: Fault;
  /** What the start waits for, when it is more than time. */
  readonly waiting?: string;
}

/** Reads the pod of a sandbox. */
export function observePod(pod: Pod): PodFacts {
  const status = pod.status ?? {};
  const statuses = status.containerStatuses ?? [];
  const own = statuses.filter(({ name }) => name !== AGENT_CONTAINER);
  const agent = agentStatus(pod);
  const inits = (status.initContainerStatuses ?? []).filter(({ name }) => name !== AGENT_CONTAINER);
  const hindrances = [...inits, ...own].map(hindranceOf);
  const waiting = hindrances.find((hindrance) => hindrance.waiting !== undefined)?.waiting ?? agentHindrance(agent);
  const fault = podFault(pod) ?? hindrances.find((hindrance) => hindrance.fault !== undefined)?.fault;
  return {
    ...(own.length === 0 ? {} : { containers: own.map(observeContainer) }),
    agentReady: agent?.ready === true,
    podReady: status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false,
    createdAtMs: Date.parse(pod.metadata.creationTimestamp ?? ""),
    ...(status.startTime === undefined ? {} : { startTimeMs: Date.parse(status.startTime) }),
    ...(status.podIP === undefined || status.podIP === "" ? {} : { podIp: status.podIP }),
    ...(fault === undefined ? {} : { fault }),
    ...(waiting === undefined ? unscheduled(pod) : { waiting }),
  };
}

/** The agent's image is the operator's affair: whatever it lacks may be put right while sandboxes wait. */
function agentHindrance(agent: ContainerStatus | undefined): string | undefined {
  if (agent === undefined) return undefined;
  const { fault, waiting } = hindranceOf(agent);
  return fault?.message ?? waiting;
}

function unscheduled({ status }: Pod): { readonly waiting?: string } {
  const scheduled = status?.conditions?.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status !== "False" || scheduled.reason !== "Unschedulable") return {};
  // The scheduler's own sentence counts nodes and changes with each of them; one that stays costs one write.
  return { waiting: "No node of the cluster has room for the sandbox at present." };
}

function observeContainer({ name, state }: ContainerStatus): ObservedContainer {
  if (state?.terminated !== undefined) return { name, state: "exited", exitCode: state.terminated.exitCode };
  return { name, state: state?.running === undefined ? "waiting" : "running" };
}
