import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { isConflict } from "#core/kubernetes/kube-error.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import { SANDBOXES } from "#core/kubernetes/resources.ts";
import type { Log } from "#core/log.ts";
import { createdAtMsOf } from "./to-sandbox.ts";

/** No creator waits so long for its answer; more than clocks can differ. */
const UNANSWERED_MS = 10 * 60_000;

export interface SweepDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Removes sandboxes whose creators never had an answer: nobody knows of them, so nobody would.
 * Safe with many gateways: each removes exactly what it saw, so a confirmation that comes first wins.
 */
export async function sweepUnanswered(
  sandboxes: Iterable<SandboxResource>,
  { client, clock, log }: SweepDeps,
  signal: AbortSignal,
): Promise<void> {
  const unanswered = Array.from(sandboxes).filter((sandbox) => isUnanswered(sandbox, clock.now()));
  for (const { metadata } of unanswered) {
    const { name, uid = "", resourceVersion = "" } = metadata;
    try {
      await client.remove(SANDBOXES, metadata, { signal }, { uid, resourceVersion });
      log.info("sandbox removed: its creator never had an answer", { sandbox_id: name });
    } catch (error) {
      if (signal.aborted) return;
      if (!isConflict(error)) log.warn("An unanswered sandbox was not removed", { sandbox_id: name, error });
    }
  }
}

function isUnanswered(sandbox: SandboxResource, nowMs: number): boolean {
  const { annotations = {}, deletionTimestamp } = sandbox.metadata;
  if (annotations[ANNOTATION.provisional] === undefined || deletionTimestamp !== undefined) return false;
  return nowMs - createdAtMsOf(sandbox) > UNANSWERED_MS;
}
