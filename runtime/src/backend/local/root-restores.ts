import type { ContainerSpec } from "#core/sandbox.ts";
import type { Call } from "#runtime/backend/port.ts";
import type { RootLayer } from "./image-store.ts";

/** What a container's root is restored from. */
export interface RootRestore {
  /** Digest of the image that the snapshot was taken over; absent = any will do. */
  readonly base?: string;
  /** From the bottom to the top. */
  readonly layers: readonly RootLayer[];
}

/** Knows the snapshots that containers name. */
export interface RootRestores {
  /** What a container with a `rootfsSnapshotName` is restored from; throws StartError. */
  find(container: ContainerSpec, call: Call): Promise<RootRestore>;
}
