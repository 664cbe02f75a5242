import type { SandboxResource } from "#api/crd/sandbox.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { KubeObject, ObjectMeta } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";

/** A sandbox's pod without what no plan reads: a cache of thousands stays small. */
export function trimPod({ metadata, status }: Pod): Pod {
  const { name, namespace, uid, resourceVersion, ownerReferences, annotations = {} } = metadata;
  const { creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  const version = annotations[ANNOTATION.sidecarVersion];
  const kept = {
    ...{ name, namespace, uid, resourceVersion, ownerReferences },
    ...{ creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds },
    ...(version === undefined ? {} : { annotations: { [ANNOTATION.sidecarVersion]: version } }),
  };
  return {
    metadata: defined(kept) as ObjectMeta,
    spec: { containers: [] },
    ...(status === undefined ? {} : { status }),
  };
}

export function trimSandbox(sandbox: SandboxResource): SandboxResource {
  return { ...sandbox, metadata: withoutManagers(sandbox) };
}

export function trimPolicy({ metadata, spec }: NetworkPolicy): NetworkPolicy {
  const { name, namespace, uid, resourceVersion, ownerReferences } = metadata;
  return { metadata: defined({ name, namespace, uid, resourceVersion, ownerReferences }) as ObjectMeta, spec };
}

function withoutManagers({ metadata }: KubeObject): ObjectMeta {
  const { managedFields: _, ...kept } = metadata as ObjectMeta & { readonly managedFields?: unknown };
  return kept;
}

function defined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
