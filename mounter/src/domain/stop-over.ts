import type { SandboxResource } from "#api/crd/sandbox.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";

/** Reasons of the condition `RootfsSnapshot` from which on nothing more is saved of the sandbox. */
const ENDS: ReadonlySet<string> = new Set([
  "NoRootfsSnapshot",
  "RootfsSnapshotComplete",
  "RootfsSnapshotFailed",
  "RootfsSnapshotTimeout",
  "InvalidRuntime",
]);

/** Whether the containers of a sandbox may stop: its snapshot at the end is over, or it wants none. */
export function isStopOver(sandbox: Pick<SandboxResource, "spec" | "status"> | undefined): boolean {
  if (sandbox?.spec.terminationPolicy?.type !== "SnapshotRootfs") return true;
  return ENDS.has(conditionOf(sandbox.status, "RootfsSnapshot")?.reason ?? "");
}
