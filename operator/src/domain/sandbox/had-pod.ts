import { sandboxState } from "#core/kubernetes/sandbox-state.ts";
import type { ObservedSandbox } from "./observed.ts";

/** Whether the sandbox once had a pod. One is made only once: when it is gone, so is the sandbox. */
export function hadPod({ sandbox, podSeen }: ObservedSandbox): boolean {
  return podSeen === true || sandbox.status?.podIP !== undefined || sandboxState(sandbox).phase === "Running";
}
