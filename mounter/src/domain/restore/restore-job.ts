import type { SandboxResource } from "#api/crd/sandbox.ts";
import { LABEL_PATTERN, UUID_PATTERN } from "#api/name-patterns.ts";
import type { RestoreOwner } from "#core/kubernetes/names.ts";
import type { Container, Pod } from "#core/kubernetes/pod.ts";
import { bytesOf, diskLimit } from "../record/record-pod.ts";

/** A container that is to start from a snapshot. */
export interface WantedRestore {
  readonly containerName: string;
  readonly snapshotName: string;
  readonly allowOtherBase: boolean;
  /** As the sandbox names it. */
  readonly image: string;
  /** The container's limit of disk; absent = none. */
  readonly diskBytes?: number;
}

/** What has to lie on this node before the containers of a sandbox may start. */
export interface RestoreJob extends RestoreOwner {
  readonly sandboxName: string;
  readonly podUid: string;
  readonly wanted: readonly WantedRestore[];
  /** What all containers of the sandbox may take together; absent = no limit. */
  readonly memoryBytes?: number;
}

/** What a sandbox's pod on this node needs of its mounter. */
export type RestoreNeed =
  /** Its containers must not start before the job is done. */
  | { readonly kind: "needed"; readonly job: RestoreJob }
  /** Nothing any more: they have started, or none of them starts from a snapshot. */
  | { readonly kind: "over" }
  /** There is no such pod here, or it is on its way out. */
  | { readonly kind: "none" };

/** What a sandbox needs of the mounter of the node that its pod is bound to. */
export function restoreNeed(sandbox: SandboxResource | undefined, pod: Pod | undefined): RestoreNeed {
  if (sandbox === undefined || pod === undefined || !isOf(pod, sandbox)) return { kind: "none" };
  if (pod.metadata.deletionTimestamp !== undefined || hasEnded(pod)) return { kind: "none" };
  const sources = sandbox.spec.rootfsSnapshotSources ?? [];
  const first = sandbox.spec.podTemplate.spec.containers[0]?.name ?? "";
  const wanted = sources.map(({ snapshotName, containerName = first, allowOtherBase = false }): WantedRestore => {
    const template = sandbox.spec.podTemplate.spec.containers.find(({ name }) => name === containerName);
    const container = pod.spec.containers.find(({ name }) => name === containerName);
    const diskBytes = container === undefined ? undefined : diskLimit(container);
    const image = template?.image ?? container?.image ?? "";
    return { containerName, snapshotName, allowOtherBase, image, ...(diskBytes === undefined ? {} : { diskBytes }) };
  });
  if (wanted.every(({ containerName }) => hasStarted(pod, containerName))) return { kind: "over" };
  const { namespace = "", name, uid: sandboxUid = "" } = sandbox.metadata;
  const areNames = LABEL_PATTERN.test(namespace) && UUID_PATTERN.test(sandboxUid);
  // They become paths: what the API server would not have taken is nobody's.
  if (!areNames || !wanted.every(({ containerName }) => LABEL_PATTERN.test(containerName))) return { kind: "none" };
  const memoryBytes = memoryLimit(pod);
  const job = { namespace, sandboxName: name, sandboxUid, podUid: pod.metadata.uid ?? "", wanted };
  return { kind: "needed", job: { ...job, ...(memoryBytes === undefined ? {} : { memoryBytes }) } };
}

function isOf(pod: Pod, { metadata }: SandboxResource): boolean {
  const owners = pod.metadata.ownerReferences ?? [];
  return metadata.uid !== undefined && owners.some(({ kind, uid }) => kind === "Sandbox" && uid === metadata.uid);
}

function hasEnded({ status }: Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

function hasStarted({ status }: Pod, containerName: string): boolean {
  const found = status?.containerStatuses?.find(({ name }) => name === containerName);
  const { state, lastState } = found ?? {};
  return state?.running !== undefined || state?.terminated !== undefined || lastState?.terminated !== undefined;
}

/** A pod has a limit only where each of its containers has one; those that end before the others start do not count. */
function memoryLimit({ spec }: Pod): number | undefined {
  const lasting = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const limits = [...spec.containers, ...lasting].map((container: Container) =>
    bytesOf(container.resources?.limits?.["memory"]),
  );
  return limits.reduce((sum, limit) => (sum === undefined || limit === undefined ? undefined : sum + limit), 0);
}
