import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { Decision } from "#core/lifecycle.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";
import type { Action } from "../action.ts";
import { ownRecord } from "./last-snapshot.ts";
import type { ObservedSandbox } from "./observed.ts";

export function podCreatedEvent({ metadata }: Pod): Action {
  const note = `Created the pod "${metadata.name}".`;
  return { kind: "event", event: { type: "Normal", reason: "PodCreated", action: "CreatePod", note } };
}

export function recordCreatedEvent({ metadata }: RootfsSnapshotResource): Action {
  const note = `Created the record "${metadata.name}" of the snapshot at the sandbox's end.`;
  return { kind: "event", event: { type: "Normal", reason: "RootfsSnapshotCreated", action: "TakeSnapshot", note } };
}

/** How the snapshot at the end ended, told once: when the sandbox's status comes to say it. */
export function lastSnapshotEvents(
  observed: ObservedSandbox,
  { decision }: { readonly decision: Decision },
): readonly Action[] {
  const { snapshotEnded } = decision;
  if (snapshotEnded === undefined) return [];
  const { reason, message = "The snapshot at the sandbox's end was taken." } = snapshotEnded;
  if (conditionOf(observed.sandbox.status, "RootfsSnapshot")?.reason === reason) return [];
  const isTaken = reason === "RootfsSnapshotComplete";
  const why = isTaken
    ? "SnapshotSucceeded"
    : reason === "InvalidRuntime"
      ? "RuntimeNotSupported"
      : reason === "RootfsSnapshotFailed" && ownRecord(observed) === undefined
        ? "PodNotReady"
        : "SnapshotFailed";
  const type = isTaken ? "Normal" : "Warning";
  return [{ kind: "event", event: { type, reason: why, action: "TakeSnapshot", note: message } }];
}

/** How a sandbox ended. */
export function endEvent({ phase, reason, message }: Decision): Action {
  const note = message ?? `The sandbox ended: ${reason}.`;
  return { kind: "event", event: { type: phase === "Failed" ? "Warning" : "Normal", reason, action: "End", note } };
}
