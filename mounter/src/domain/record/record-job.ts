import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import { parseContainerId } from "#core/kubernetes/container-id.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";

/** A snapshot that this node has to take, as its record says it. */
export interface RecordJob {
  readonly namespace: string;
  /** Of the record. */
  readonly name: string;
  /** Of the record, and the mark of what is written for it. */
  readonly uid: string;
  /** Under which name it is kept. */
  readonly snapshotName: string;
  readonly sandboxName: string;
  readonly podUid: string;
  readonly containerName: string;
  /** As the node's engine knows it. */
  readonly containerId: string;
  /** Absent when the operator did not say it. */
  readonly base?: SnapshotBase;
  /** RFC 3339, whole seconds. */
  readonly createdAt: string;
  readonly timeoutSeconds: number;
  readonly deadlineMs: number;
  /** A former life of this program may have sent a manifest up to this moment. */
  readonly publishByMs?: number;
}

/** What a node does about a record: nothing, its job, or say that the assignment makes no sense. */
export type RecordPlan =
  | { readonly kind: "leave" }
  | { readonly kind: "take"; readonly job: RecordJob }
  | { readonly kind: "refuse"; readonly message: string };

/** Whether a record is this node's to work on: assigned, not ended, and not given to whoever settles it. */
export function isOpenFor(record: RootfsSnapshotResource, nodeName: string): boolean {
  const { nodeName: assigned, settle } = record.status ?? {};
  return assigned === nodeName && settle !== true && !isFinished(snapshotState(record).phase);
}

/** What this node has to do for a record. */
export function planRecord(record: RootfsSnapshotResource, nodeName: string): RecordPlan {
  if (!isOpenFor(record, nodeName)) return { kind: "leave" };
  const { metadata, spec, status = {} } = record;
  const { namespace = "", name, uid = "", creationTimestamp = "" } = metadata;
  const container = parseContainerId(status.containerID ?? "");
  const { podUid, containerName } = status;
  const createdAtMs = Date.parse(creationTimestamp);
  if (container === undefined || podUid === undefined || containerName === undefined || !Number.isFinite(createdAtMs)) {
    return { kind: "refuse", message: "The record does not say which container of which pod is meant." };
  }
  const publishByMs = status.publishBy === undefined ? undefined : Date.parse(status.publishBy);
  const job: RecordJob = {
    namespace,
    name,
    uid,
    snapshotName: spec.snapshotName ?? spec.sandboxName,
    sandboxName: spec.sandboxName,
    podUid,
    containerName,
    containerId: container.id,
    ...(status.base === undefined ? {} : { base: status.base }),
    createdAt: creationTimestamp,
    timeoutSeconds: spec.timeoutSeconds,
    deadlineMs: createdAtMs + spec.timeoutSeconds * 1000,
    ...(publishByMs === undefined ? {} : { publishByMs }),
  };
  return { kind: "take", job };
}

/** Whether a job that is under way is still wanted of this node; `leaving` = its record is being removed. */
export function jobStanding(
  record: RootfsSnapshotResource | undefined,
  job: Pick<RecordJob, "uid">,
  nodeName: string,
): "wanted" | "leaving" | "over" {
  if (record === undefined || record.metadata.uid !== job.uid || !isOpenFor(record, nodeName)) return "over";
  return record.metadata.deletionTimestamp === undefined ? "wanted" : "leaving";
}
