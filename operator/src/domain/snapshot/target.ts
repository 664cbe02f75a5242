import type { RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { parseContainerId } from "#core/kubernetes/container-id.ts";
import { createdAtMsOf } from "#core/kubernetes/created-at.ts";
import { imageDigestOf } from "#core/kubernetes/image-id.ts";
import { AGENT_CONTAINER } from "#core/kubernetes/names.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import { sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { hasEnded } from "#core/sandbox.ts";
import type { SnapshotReason } from "#core/snapshot/snapshot.ts";
import { quoted } from "../sandbox/fault.ts";
import { isGvisor } from "../gvisor-handler.ts";
import { isTerminationRecord } from "../termination-record.ts";
import type { ObservedSnapshot } from "./observed.ts";
import { STARTING_MS } from "./settle-times.ts";

/** Which container a snapshot is taken of, and where it runs. */
export type Target = Required<
  Pick<RootfsSnapshotStatusResource, "nodeName" | "podUid" | "containerName" | "containerID" | "base">
>;

export type Choice =
  | { readonly kind: "target"; readonly target: Target }
  /** It may run yet: not before this moment is it a fault. */
  | { readonly kind: "wait"; readonly untilMs: number }
  | { readonly kind: "fault"; readonly reason: SnapshotReason; readonly message: string };

/** Chooses the container of a record, or says why there is none. */
export function chooseTarget(observed: ObservedSnapshot, nowMs: number): Choice {
  const { record, sandbox } = observed;
  const { sandboxName } = record.spec;
  if (sandbox === undefined) return fault("SandboxNotFound", `There is no sandbox "${sandboxName}".`);
  const obstacle = obstacleOf(observed, sandbox);
  if (obstacle !== undefined) return fault("SandboxNotRunning", `The sandbox "${sandboxName}" ${obstacle}.`);
  const containers = containersOf(sandbox, observed.pod);
  const container = containers.find(({ name }) => name === (record.spec.containerName ?? containers[0]?.name));
  if (container === undefined) {
    const wanted = record.spec.containerName ?? "";
    return fault("ContainerNotFound", `The sandbox "${sandboxName}" has no container "${wanted}".`);
  }
  if (observed.pod === undefined) return waitOrFault(observed, "has no pod", nowMs);
  if (!isGvisor(observed.handler)) return fault("InvalidRuntime", runtimeMessage(observed.pod, observed.handler));
  return targetIn(observed, observed.pod, container, nowMs);
}

function obstacleOf({ record, pod }: ObservedSnapshot, sandbox: SandboxResource): string | undefined {
  const { phase, reason } = sandboxState(sandbox);
  if (hasEnded(phase)) return `has ended: ${reason}`;
  if (isTerminationRecord(record, sandbox) || reason === "RootfsSnapshottingInProgress") return undefined;
  const isGoing = phase === "Terminating" || pod?.metadata.deletionTimestamp !== undefined;
  return isGoing ? "is being removed" : undefined;
}

/** As the pod was made; before there is one, as it will be. */
function containersOf(sandbox: SandboxResource, pod: Pod | undefined) {
  const containers = pod?.spec.containers ?? sandbox.spec.podTemplate.spec.containers;
  return containers.filter(({ name }) => name !== AGENT_CONTAINER);
}

function targetIn(
  observed: ObservedSnapshot,
  pod: Pod,
  { name, image }: { readonly name: string; readonly image?: string },
  nowMs: number,
): Choice {
  const { sandboxName } = observed.record.spec;
  const status = pod.status?.containerStatuses?.find((container) => container.name === name);
  if (status?.state?.terminated !== undefined || hasPodEnded(pod)) {
    return fault("ContainerEnded", `The container "${name}" of the sandbox "${sandboxName}" has ended.`);
  }
  const { nodeName } = pod.spec;
  if (status?.state?.running === undefined || nodeName === undefined) {
    return waitOrFault(observed, `is not running: its container "${name}" has not started`, nowMs);
  }
  const { containerID = "" } = status;
  if (parseContainerId(containerID) === undefined) {
    const said = quoted(containerID, "nothing");
    return fault(
      "ContainerNotFound",
      `The node of the container "${name}" names it by no id that can be read: ${said}.`,
    );
  }
  const base = baseOf(image, status);
  return {
    kind: "target",
    target: { nodeName, podUid: pod.metadata.uid ?? "", containerName: name, containerID, base },
  };
}

function baseOf(image: string | undefined, status: ContainerStatus): Target["base"] {
  const digest = imageDigestOf(status.imageID);
  return { image: image ?? status.image ?? "unknown", ...(digest === undefined ? {} : { digest }) };
}

function hasPodEnded({ status }: Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

function waitOrFault({ record }: ObservedSnapshot, what: string, nowMs: number): Choice {
  const untilMs = createdAtMsOf(record) + STARTING_MS;
  if (nowMs < untilMs) return { kind: "wait", untilMs };
  return fault("SandboxNotRunning", `The sandbox "${record.spec.sandboxName}" ${what}.`);
}

/** Why nothing can be taken of a pod that does not run on gVisor. */
export function runtimeMessage({ spec }: Pod, handler: string | undefined): string {
  const { runtimeClassName } = spec;
  if (runtimeClassName === undefined) return "The sandbox's pod has no runtime class: only gVisor can take snapshots.";
  const what = handler === undefined ? "is not there" : `is of handler "${handler}"`;
  return `The runtime class "${runtimeClassName}" of the sandbox's pod ${what}: only gVisor can take snapshots.`;
}

function fault(reason: SnapshotReason, message: string): Choice {
  return { kind: "fault", reason, message };
}
