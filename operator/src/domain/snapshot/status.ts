import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";
import type { SnapshotDecision } from "#core/snapshot/decide-snapshot.ts";
import type { Action } from "../action.ts";
import { formatTime } from "../rfc3339.ts";
import type { Target } from "./target.ts";

type Status = RootfsSnapshotStatusResource;

/** What the operator says of a record, and nobody else; whatever it writes holds all of it. */
const OWN = ["startTime", "nodeName", "podUid", "containerName", "containerID", "base", "settle"] as const;

/** Gives the record to the mounter of a node. */
export function assign(record: RootfsSnapshotResource, target: Target, nowMs: number): Action {
  return write(record, { startTime: formatTime(nowMs), ...target });
}

/** Has the store asked how a record ended. */
export function settle(record: RootfsSnapshotResource): Action {
  return write(record, { ...ownOf(record.status), settle: true });
}

/** Says that the record has failed. */
export function fail(record: RootfsSnapshotResource, { reason, message }: SnapshotDecision, nowMs: number): Action {
  const at = formatTime(nowMs);
  return write(record, {
    ...ownOf(record.status),
    completionTime: at,
    conditions: [
      {
        type: "Succeeded",
        status: "False",
        reason: reason ?? "DumpFailed",
        message: message ?? "The snapshot failed.",
        lastTransitionTime: at,
      },
    ],
  });
}

/** Says why the record has not begun; undefined when it says so. */
export function wait(
  record: RootfsSnapshotResource,
  { reason = "WaitingForTurn", message = "" }: SnapshotDecision,
  nowMs: number,
): Action | undefined {
  const before = conditionOf(record.status, "Succeeded");
  if (before?.reason === reason && before.message === message) return undefined;
  const lastTransitionTime = before?.lastTransitionTime ?? formatTime(nowMs);
  return write(record, {
    ...ownOf(record.status),
    conditions: [{ type: "Succeeded", status: "Unknown", reason, message, lastTransitionTime }],
  });
}

function ownOf(status: Status = {}): Status {
  return Object.fromEntries(OWN.flatMap((member) => (status[member] === undefined ? [] : [[member, status[member]]])));
}

function write({ metadata }: RootfsSnapshotResource, status: Status): Action {
  const { name, namespace, uid, resourceVersion } = metadata;
  const own = { name, namespace, uid, resourceVersion };
  return { kind: "patchStatus", resource: ROOTFS_SNAPSHOTS, object: { metadata: own, status } as KubeObject };
}
