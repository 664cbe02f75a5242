import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { Pod } from "#core/kubernetes/pod.ts";

/** All that a plan for one sandbox may depend on, beside the settings and the time. */
export interface ObservedSandbox {
  readonly sandbox: SandboxResource;
  /** The pod of the sandbox's pod name, whoever owns it. */
  readonly pod?: Pod;
  /** The pod and the last snapshot's record, or that there are none, are the API server's own word and not a cache's. */
  readonly isFresh?: boolean;
  /** The policy of the sandbox's policy name. */
  readonly policy?: NetworkPolicy;
  /** What this sandbox's agent proves itself with; needed where a pod may be made. */
  readonly agentKey: string;
  /** This process has seen the sandbox's pod. */
  readonly podSeen?: boolean;
  /** How the last attempt to create the pod failed. */
  readonly creationFault?: CreationFault;
  /** Why no pod may be created at present: one sentence. */
  readonly hold?: string;
  /** Handler of the pod's runtime class, or of the one that it is to have; undefined = not known. */
  readonly handler?: string;
  /** The record of the name of the sandbox's last snapshot, whoever's it is. */
  readonly lastRecord?: RootfsSnapshotResource;
  /** Why that record could not be made: one sentence. */
  readonly recordFault?: string;
}

export interface CreationFault {
  readonly message: string;
  /** The same request would fail again. */
  readonly isFinal: boolean;
  /** Not before this moment (Unix milliseconds) is it tried again. */
  readonly retryAtMs: number;
}

/** The pod, if it is this sandbox's own and not one that another left behind. */
export function ownPod({ sandbox, pod }: Pick<ObservedSandbox, "sandbox" | "pod">): Pod | undefined {
  return pod !== undefined && isOwnedBy(pod, sandbox) ? pod : undefined;
}

export function isOwnedBy({ metadata }: Pick<Pod, "metadata">, sandbox: SandboxResource): boolean {
  return metadata.ownerReferences?.some(({ uid }) => uid === sandbox.metadata.uid) ?? false;
}

/** Why the sandbox's pod cannot have its name. */
export function foreignPod({ metadata }: Pick<Pod, "metadata">): string {
  const owner = metadata.ownerReferences?.[0];
  const whose = owner === undefined ? "nobody" : `another ${owner.kind} named "${owner.name}"`;
  return `The pod "${metadata.name}" is there already and belongs to ${whose}.`;
}
