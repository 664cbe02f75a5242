import { ProblemError } from "#core/problem-error.ts";
import type { SandboxBackend, SnapshotBackend } from "../../backend/port.ts";

/** The snapshots of a backend that has them; `not-supported` otherwise. */
export function snapshotsOf({ snapshots }: SandboxBackend): SnapshotBackend {
  if (snapshots !== undefined) return snapshots;
  throw new ProblemError("not-supported", "Snapshots of root file systems are not supported by this installation.");
}
