import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { SandboxState } from "#core/kubernetes/sandbox-state.ts";

/**
 * What a sandbox waits for whose containers start from snapshots: the mounter of its node says so
 * before anybody else. Undefined when that is nothing, or not known.
 */
export function restoringState({
  status,
}: Pick<SandboxResource, "status">): Pick<SandboxState, "reason" | "message"> | undefined {
  const open = (status?.rootfsRestores ?? []).filter(({ phase }) => phase === "Waiting" || phase === "Fetching");
  const absent = open.find(({ phase }) => phase === "Waiting");
  const { message, snapshotName } = absent ?? open[0] ?? {};
  if (absent !== undefined) {
    const said = message ?? `It waits for the snapshot "${snapshotName}", which does not exist yet.`;
    return { reason: "WaitingForSnapshot", message: said };
  }
  if (snapshotName === undefined) return undefined;
  return { reason: "PodPending", message: message ?? `The snapshot "${snapshotName}" is being brought to its node.` };
}
