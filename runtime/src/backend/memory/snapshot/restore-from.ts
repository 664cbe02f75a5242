import { ProblemError } from "#core/problem-error.ts";
import type { ContainerSpec } from "#core/sandbox.ts";
import { compareBase, otherBaseMessage } from "#core/snapshot/compare-base.ts";
import type { FileStore } from "../agent/file-store.ts";
import type { MemoryWorld } from "../memory-world.ts";
import type { SnapshotShelf } from "./snapshot-shelf.ts";

export interface RestoreFault {
  readonly reason: "RootfsRestoreConfigurationError";
  readonly message: string;
}

/** Puts what a snapshot holds into a container's files; answers why that cannot be. */
export async function restoreFrom(
  { world, shelf }: { readonly world: MemoryWorld; readonly shelf: SnapshotShelf },
  { image, rootfsSnapshotName = "", rootfsSnapshotAllowOtherBase = false }: ContainerSpec,
  files: FileStore,
): Promise<RestoreFault | undefined> {
  const container = { image, digest: await world.imageDigest(image) };
  const stored = shelf.find(rootfsSnapshotName);
  if (stored === undefined) return fault(`The snapshot "${rootfsSnapshotName}" was removed.`);
  if (!rootfsSnapshotAllowOtherBase && compareBase(stored.base, container) === "different") {
    return fault(otherBaseMessage(rootfsSnapshotName, stored.base, container));
  }
  try {
    files.load(stored.tree);
    return undefined;
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return fault(`The snapshot "${rootfsSnapshotName}" does not fit: ${error.message}`);
  }
}

function fault(message: string): RestoreFault {
  return { reason: "RootfsRestoreConfigurationError", message };
}
