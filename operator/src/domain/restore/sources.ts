import type { SandboxSpecResource } from "#api/crd/sandbox.ts";
import type { Container } from "#core/kubernetes/pod.ts";
import { isGvisor } from "../gvisor-handler.ts";

/** A container that starts from a snapshot. */
export interface RestoreSource {
  readonly containerName: string;
  readonly snapshotName: string;
  /** Onto another image, too, than the one that the snapshot was taken over. */
  readonly allowOtherBase: boolean;
}

/** Which containers start from which snapshots. */
export function restoreSources({
  podTemplate,
  rootfsSnapshotSources = [],
}: SandboxSpecResource): readonly RestoreSource[] {
  const first = podTemplate.spec.containers[0]?.name ?? "";
  return rootfsSnapshotSources.map(({ containerName = first, snapshotName, allowOtherBase = false }) => ({
    containerName,
    snapshotName,
    allowOtherBase,
  }));
}

export interface RestoreMeans {
  /** Whether this installation has a store. */
  readonly hasSnapshots: boolean;
  /** Of the sandbox's runtime class; undefined = not known. */
  readonly handler?: string;
}

/** Why a sandbox can never start from its snapshots, in one sentence; undefined when it may. */
export function restoreObstacle(
  spec: SandboxSpecResource,
  { hasSnapshots, handler }: RestoreMeans,
): string | undefined {
  const sources = restoreSources(spec);
  if (sources.length === 0) return undefined;
  if (!hasSnapshots) return "The sandbox asks for a snapshot: this installation restores none.";
  if (handler !== undefined && !isGvisor(handler)) {
    return `The sandbox asks for a snapshot: its runtime class is of handler "${handler}", and only gVisor restores them.`;
  }
  const containers = new Map(
    spec.podTemplate.spec.containers.map((container) => [container.name, container as Container]),
  );
  const restored = new Set<string>();
  for (const { containerName, snapshotName } of sources) {
    const container = containers.get(containerName);
    if (container === undefined) {
      return `The snapshot "${snapshotName}" is for a container "${containerName}", which the sandbox does not have.`;
    }
    if (restored.has(containerName)) return `The container "${containerName}" is to start from more than one snapshot.`;
    if (container.securityContext?.readOnlyRootFilesystem === true) {
      return `The container "${containerName}" cannot start from a snapshot: its root file system is read-only.`;
    }
    restored.add(containerName);
  }
  return undefined;
}
