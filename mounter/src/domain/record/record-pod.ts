import { AGENT_CONTAINER, podName } from "#core/kubernetes/names.ts";
import type { Container, Pod } from "#core/kubernetes/pod.ts";
import { parseQuantity, quantityUnits } from "#core/quantity.ts";
import { RecordFault } from "../record-fault.ts";
import type { RecordJob } from "./record-job.ts";

/** What is known of a container before it is saved. */
export interface RecordTarget {
  readonly containerId: string;
  /** By which gVisor knows it. */
  readonly containerName: string;
  /** One of these at a time is saved of a sandbox. */
  readonly podUid: string;
  /** Of the agent in the same sandbox; absent = it does not run. */
  readonly agentContainerId?: string;
  /** As the sandbox names it. */
  readonly image: string;
  /** Its limit of disk; absent = none. */
  readonly diskBytes?: number;
}

/**
 * The container that a record means, in the pod as it is now; throws a `RecordFault` when it is not
 * there any more, or is another's: a record can say anything.
 */
export function recordTarget(pod: Pod | undefined, job: RecordJob, nodeName: string): RecordTarget {
  const { podUid, sandboxName, containerName, containerId } = job;
  if (pod === undefined || pod.metadata.uid !== podUid || pod.spec.nodeName !== nodeName || !isOf(pod, sandboxName)) {
    throw new RecordFault("SandboxLost", `The pod of the sandbox "${sandboxName}" is gone.`);
  }
  const container = pod.spec.containers.find(({ name }) => name === containerName);
  const status = pod.status?.containerStatuses?.find(({ name }) => name === containerName);
  if (container === undefined) {
    throw new RecordFault("ContainerNotFound", `The sandbox "${sandboxName}" has no container "${containerName}".`);
  }
  if (status?.state?.running === undefined || !(status.containerID ?? "").endsWith(`://${containerId}`)) {
    throw new RecordFault(
      "ContainerEnded",
      `The container "${containerName}" has ended: only a running container can be saved.`,
    );
  }
  const diskBytes = diskLimit(container);
  const image = container.image ?? status.image ?? "unknown";
  const agentContainerId = agentIn(pod);
  return {
    containerId,
    containerName,
    podUid,
    image,
    ...(agentContainerId === undefined ? {} : { agentContainerId }),
    ...(diskBytes === undefined ? {} : { diskBytes }),
  };
}

function isOf(pod: Pod, sandboxName: string): boolean {
  const owners = pod.metadata.ownerReferences ?? [];
  return (
    pod.metadata.name === podName(sandboxName) &&
    owners.some(({ kind, name }) => kind === "Sandbox" && name === sandboxName)
  );
}

/** Without the name of the engine before it. */
function agentIn({ status }: Pod): string | undefined {
  const all = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const agent = all.find(({ name, state }) => name === AGENT_CONTAINER && state?.running !== undefined);
  return /:\/\/([0-9a-z]+)$/.exec(agent?.containerID ?? "")?.[1];
}

/** Most bytes that a container may write to its root; undefined = no bound. */
export function diskLimit({ resources }: Pick<Container, "resources">): number | undefined {
  return bytesOf(resources?.limits?.["ephemeral-storage"]);
}

/** A quantity of bytes; undefined when there is none or it cannot be read. */
export function bytesOf(text: string | undefined): number | undefined {
  const quantity = text === undefined ? undefined : parseQuantity(text);
  return quantity === undefined ? undefined : Number(quantityUnits(quantity));
}
