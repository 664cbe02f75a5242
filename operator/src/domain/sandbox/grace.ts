import { MOST_GRACE_SECONDS, type SandboxSpecResource } from "#api/crd/sandbox.ts";
import type { PodSpec } from "#core/kubernetes/pod.ts";
import { terminationRequest } from "#core/snapshot/decide-termination.ts";
import type { SandboxSettings } from "./settings.ts";

/** A sandbox has nothing to save when it goes, and `sleep` as first process ignores the polite signal. */
const GRACE_SECONDS = 1;

/** How long a pod gets for its polite end: one that ignores the signal would outlive its sandbox by as much as a template says. */
function graceSeconds({ podTemplate }: SandboxSpecResource): number {
  const { terminationGracePeriodSeconds: wanted = GRACE_SECONDS } = podTemplate.spec as PodSpec;
  // What is no number is left to the API server to refuse.
  return wanted > MOST_GRACE_SECONDS ? MOST_GRACE_SECONDS : wanted;
}

/** The same as the pod says it: who stops the pod himself waits for the snapshot at its end as well. */
export function podGraceSeconds(spec: SandboxSpecResource, { snapshots }: SandboxSettings): number {
  const grace = graceSeconds(spec);
  const request = snapshots === undefined ? undefined : terminationRequest("", spec.terminationPolicy);
  return request === undefined ? grace : grace + request.spec.timeoutSeconds;
}

/**
 * With what the operator itself removes a pod that says more than its template; undefined where it
 * says the same. Never nothing: the pod would be gone before its processes are.
 */
export function removalGraceSeconds(spec: SandboxSpecResource): number | undefined {
  if (terminationRequest("", spec.terminationPolicy) === undefined) return undefined;
  const grace = graceSeconds(spec);
  return Number.isInteger(grace) && grace > 0 ? grace : 1;
}
