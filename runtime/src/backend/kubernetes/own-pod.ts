import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Pod } from "#core/kubernetes/pod.ts";

/** The pod when it is this very sandbox's; one of an earlier sandbox of its name is not. */
export function ownPod(sandbox: SandboxResource, pod: Pod | undefined): Pod | undefined {
  const { uid } = sandbox.metadata;
  return pod?.metadata.ownerReferences?.some((owner) => owner.uid === uid) ? pod : undefined;
}

/** Where the pod's agent can be asked; undefined before it has an address and after its end. */
export function agentAddressOf({ metadata, status }: Pod): string | undefined {
  const isOver =
    metadata.deletionTimestamp !== undefined || status?.phase === "Failed" || status?.phase === "Succeeded";
  return isOver ? undefined : status?.podIP;
}
