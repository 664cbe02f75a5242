import type { SnapshotWarning } from "#api/snapshot-manifest.ts";
import { findLosses } from "#core/node/find-losses.ts";
import { lossesUnknown, rootWarning } from "#core/snapshot/losses.ts";
import { AGENT_FILES } from "#sidecar/manifest.ts";
import type { RecordTarget } from "../../domain/record/record-pod.ts";
import type { RunscPlace } from "./run-checkpoint.ts";

/** Longest that a snapshot waits to be told what it lacks. */
const LOOK_MS = 30_000;

/** What a container's dump lacks, or that nobody could look; never fails. */
export async function lookForLosses(
  runsc: RunscPlace,
  { agentContainerId, containerName }: RecordTarget,
  signal: AbortSignal,
): Promise<readonly SnapshotWarning[]> {
  if (agentContainerId === undefined) return [lossesUnknown("the pod has no agent that runs")];
  const agent = { containerId: agentContainerId, program: AGENT_FILES.losses };
  const { warnings, root } = await findLosses({ runsc, agent, containerName, timeoutMs: LOOK_MS, signal });
  // gVisor restores into the folder that the node has made of the image.
  const lost = root === undefined ? undefined : rootWarning(root);
  return lost === undefined ? warnings : [...warnings, lost];
}
