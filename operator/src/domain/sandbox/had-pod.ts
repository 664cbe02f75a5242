import { sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { usedPodUid } from "#core/kubernetes/used-pod.ts";
import type { ObservedSandbox } from "./observed.ts";

/**
 * Whether the sandbox once had a pod: by what this process saw, by its status, or by the word of a
 * gateway, which may use a pod before any status tells of it. One is made only once: when it is
 * gone, so is the sandbox.
 */
export function hadPod({ sandbox, podSeen }: ObservedSandbox): boolean {
  return (
    podSeen === true ||
    sandbox.status?.podIP !== undefined ||
    sandbox.status?.terminationDeadlineAt !== undefined ||
    sandboxState(sandbox).phase === "Running" ||
    usedPodUid(sandbox) !== undefined
  );
}
