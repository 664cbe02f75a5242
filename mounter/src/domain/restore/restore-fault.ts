import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { compareBase, otherBaseMessage } from "#core/snapshot/compare-base.ts";
import { restoreObstacle } from "#core/snapshot/restore-bound.ts";
import type { WantedRestore } from "./restore-job.ts";

/** Nothing that waiting could mend: the sandbox cannot start from this snapshot. One sentence for people. */
export class RestoreFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RestoreFault";
  }
}

/** Throws when a snapshot is of another image than the container's, as far as their names say it. */
export function checkBase(
  { snapshotName, allowOtherBase, image }: WantedRestore,
  manifest: Pick<SnapshotManifest, "base"> | undefined,
): void {
  if (manifest === undefined || allowOtherBase) return;
  if (compareBase(manifest.base, { image }) === "different")
    throw new RestoreFault(otherBaseMessage(snapshotName, manifest.base, { image }));
}

/** What is known of the sizes of a sandbox's restores. */
export interface RestoreSizes {
  /** Of this one, unpacked. */
  readonly tarBytes: number;
  /** Of all that the sandbox restores, as far as they are known: one kernel unpacks them all. */
  readonly allTarBytes: number;
  readonly memoryBytes?: number;
}

/** Throws when a snapshot does not fit into its container's disk, or all of them into the sandbox's memory. */
export function checkSize({ snapshotName, diskBytes }: WantedRestore, sizes: RestoreSizes): void {
  const { tarBytes, allTarBytes, memoryBytes } = sizes;
  const obstacle =
    restoreObstacle(snapshotName, tarBytes, diskBytes === undefined ? {} : { diskBytes }) ??
    restoreObstacle(snapshotName, allTarBytes, memoryBytes === undefined ? {} : { memoryBytes });
  if (obstacle !== undefined) throw new RestoreFault(obstacle);
}
