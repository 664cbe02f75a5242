import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import type { RootLayer } from "./image-store.ts";

/** What a container's root is restored from. */
export interface RootRestore {
  readonly snapshotName: string;
  /** The image that the snapshot was taken over; absent = any will do. */
  readonly base?: SnapshotBase;
  /** From the bottom to the top. */
  readonly layers: readonly RootLayer[];
}
