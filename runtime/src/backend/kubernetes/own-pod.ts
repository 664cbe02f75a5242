import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { isSecondPod } from "#core/kubernetes/used-pod.ts";

/**
 * The pod when it is this very sandbox's; one of an earlier sandbox of its name is not, nor one in
 * place of the pod that clients have used.
 */
export function ownPod(sandbox: SandboxResource, pod: Pod | undefined): Pod | undefined {
  const { uid } = sandbox.metadata;
  const isOwn = pod?.metadata.ownerReferences?.some((owner) => owner.uid === uid) ?? false;
  return isOwn && pod !== undefined && !isSecondPod(sandbox, pod) ? pod : undefined;
}

/** Whether the pod has ended or is about to: there is none after it. */
export function isPodOver({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp !== undefined || status?.phase === "Failed" || status?.phase === "Succeeded";
}

/** Where the pod's agent can be asked; undefined before it has an address and after its end. */
export function agentAddressOf(pod: Pod): string | undefined {
  return isPodOver(pod) ? undefined : pod.status?.podIP;
}
