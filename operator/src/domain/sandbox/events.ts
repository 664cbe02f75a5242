import type { Decision } from "#core/lifecycle.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import type { Action } from "../action.ts";

export function podCreatedEvent({ metadata }: Pod): Action {
  const note = `Created the pod "${metadata.name}".`;
  return { kind: "event", event: { type: "Normal", reason: "PodCreated", action: "CreatePod", note } };
}

/** How a sandbox ended. */
export function endEvent({ phase, reason, message }: Decision): Action {
  const note = message ?? `The sandbox ended: ${reason}.`;
  return { kind: "event", event: { type: phase === "Failed" ? "Warning" : "Normal", reason, action: "End", note } };
}
