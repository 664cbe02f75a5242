import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Pod } from "#core/kubernetes/pod.ts";

/** All that a plan for one record of a snapshot may depend on, beside the time. */
export interface ObservedSnapshot {
  readonly record: RootfsSnapshotResource;
  /** This installation takes no snapshots. */
  readonly takesNone?: boolean;
  /** Name of the record that writes the same name and goes first. */
  readonly behind?: string;
  readonly sandbox?: SandboxResource;
  /** The sandbox's own pod. */
  readonly pod?: Pod;
  /** Handler of the pod's runtime class; undefined = there is no such class. */
  readonly handler?: string;
  /** Sandbox and pod, or that there is none, are the API server's own word and not a cache's. */
  readonly isFresh?: boolean;
  /** Of a record that a node has: whether the pod that was chosen is there yet. */
  readonly podIsGone?: boolean;
  /** The node that has the record is no part of the cluster any more. */
  readonly nodeIsGone?: boolean;
}
