import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { ObjectMeta } from "#core/kubernetes/object.ts";
import type { Container, Pod } from "#core/kubernetes/pod.ts";

const IDENTITY = ["name", "namespace", "uid", "resourceVersion"] as const;
const POD = [...IDENTITY, "ownerReferences", "deletionTimestamp"] as const;
const RECORD = [...IDENTITY, "creationTimestamp", "deletionTimestamp", "finalizers"] as const;

/** A pod without what a mounter reads nothing of. */
export function trimPod({ metadata, spec, status }: Pod): Pod {
  const { nodeName, containers, initContainers } = spec;
  const { phase, containerStatuses } = status ?? {};
  return {
    metadata: pick(metadata, POD),
    spec: {
      containers: containers.map(trimContainer),
      ...(initContainers === undefined ? {} : { initContainers: initContainers.map(trimContainer) }),
      ...(nodeName === undefined ? {} : { nodeName }),
    },
    status: {
      ...(phase === undefined ? {} : { phase }),
      ...(containerStatuses === undefined ? {} : { containerStatuses }),
    },
  };
}

function trimContainer({ name, image, resources, restartPolicy }: Container): Container {
  return {
    name,
    ...(image === undefined ? {} : { image }),
    ...(resources === undefined ? {} : { resources }),
    ...(restartPolicy === undefined ? {} : { restartPolicy }),
  };
}

/** A sandbox without what a mounter reads nothing of; of those that neither start from snapshots nor end with one, that it is there. */
export function trimSandbox({ metadata, spec, status }: SandboxResource): SandboxResource {
  const { rootfsSnapshotSources: sources = [], terminationPolicy, podTemplate, startupTimeoutSeconds } = spec;
  const { conditions = [], rootfsRestores } = status ?? {};
  const containers =
    sources.length === 0 ? [] : podTemplate.spec.containers.map(({ name, image }) => ({ name, image }));
  return {
    metadata: pick(metadata, IDENTITY),
    spec: {
      startupTimeoutSeconds,
      podTemplate: { spec: { containers } },
      ...(sources.length === 0 ? {} : { rootfsSnapshotSources: sources }),
      ...(terminationPolicy === undefined ? {} : { terminationPolicy }),
    },
    status: {
      conditions: conditions.filter(({ type }) => type === "RootfsSnapshot"),
      ...(rootfsRestores === undefined ? {} : { rootfsRestores }),
    },
  };
}

export function trimRecord({ metadata, spec, status }: RootfsSnapshotResource): RootfsSnapshotResource {
  return { metadata: pick(metadata, RECORD), spec, ...(status === undefined ? {} : { status }) };
}

function pick(metadata: ObjectMeta, members: readonly (keyof ObjectMeta)[]): ObjectMeta {
  const kept = members.flatMap((member) => (metadata[member] === undefined ? [] : [[member, metadata[member]]]));
  return { name: metadata.name, ...Object.fromEntries(kept) };
}
