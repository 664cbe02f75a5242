import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { ObjectMeta } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";

/** Members that plans read of any object. */
const IDENTITY = ["name", "namespace", "uid", "resourceVersion", "ownerReferences"] as const;
const LIFE = ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] as const;
/** Everything of a sandbox but the record of who changed what. */
const SANDBOX = [...IDENTITY, ...LIFE, "generation", "labels", "annotations", "finalizers"] as const;

/** A sandbox's pod without what no plan reads: a cache of thousands stays small. */
export function trimPod({ metadata, status }: Pod): Pod {
  const version = metadata.annotations?.[ANNOTATION.sidecarVersion];
  const annotations = version === undefined ? {} : { annotations: { [ANNOTATION.sidecarVersion]: version } };
  return {
    metadata: { ...pick(metadata, [...IDENTITY, ...LIFE]), ...annotations },
    spec: { containers: [] },
    ...(status === undefined ? {} : { status }),
  };
}

/** The same with where the pod runs, of which images, and on which runtime: what is saved or restored needs it. */
export function trimSavablePod(pod: Pod): Pod {
  const { nodeName, runtimeClassName, containers } = pod.spec;
  return {
    ...trimPod(pod),
    spec: {
      containers: containers.map(({ name, image }) => ({ name, ...(image === undefined ? {} : { image }) })),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(runtimeClassName === undefined ? {} : { runtimeClassName }),
    },
  };
}

/** A record without what only its readers need. */
export function trimSnapshot({ metadata, spec, status }: RootfsSnapshotResource): RootfsSnapshotResource {
  const { warnings: _, ...kept } = status ?? {};
  return { metadata: pick(metadata, SANDBOX), spec, ...(status === undefined ? {} : { status: kept }) };
}

export function trimSandbox({ metadata, spec, status }: SandboxResource): SandboxResource {
  return { metadata: pick(metadata, SANDBOX), spec, ...(status === undefined ? {} : { status }) };
}

export function trimPolicy({ metadata, spec }: NetworkPolicy): NetworkPolicy {
  return { metadata: pick(metadata, IDENTITY), spec };
}

function pick(metadata: ObjectMeta, members: readonly (keyof ObjectMeta)[]): ObjectMeta {
  const kept = members.flatMap((member) => (metadata[member] === undefined ? [] : [[member, metadata[member]]]));
  return { name: metadata.name, ...Object.fromEntries(kept) };
}
