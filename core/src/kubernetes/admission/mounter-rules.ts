import { RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import { SandboxStatusResource } from "#api/crd/sandbox.ts";
import type { AdmissionValidation } from "../cluster-objects.ts";
import { SNAPSHOT_COLLECTOR_LEASE, SNAPSHOT_DATA_FINALIZER } from "../names.ts";
import { celString, refuse } from "./cel-text.ts";
import { OWN_NODE } from "./own-node.ts";

/** What a mounter tells of a snapshot that it takes, and of the archives that it brings. The others are the operator's. */
const OWN_MEMBERS = {
  rootfssnapshots: [
    "conditions",
    "completionTime",
    "publishBy",
    "snapshotKey",
    "writeId",
    "bytes",
    "progress",
    "warnings",
  ],
  sandboxes: ["rootfsRestores"],
} as const;

/** What it may say at a snapshot's end where the operator has not: it knows what it took. */
const FILLED_MEMBERS = new Set(["containerName", "base"]);

const isRecord = `request.resource.resource == "rootfssnapshots"`;
const isSandbox = `request.resource.resource == "sandboxes"`;
const isStatus = `request.?subResource.orValue("") == "status"`;
const old = "oldObject.?status";
const isGoing = "oldObject.metadata.?deletionTimestamp.hasValue()";

/**
 * What the account of the mounters may write. Its rights know neither nodes nor members: whoever
 * breaks into one node could else say of every snapshot and sandbox of the cluster what he likes.
 * Which node a sandbox is on its object does not say, so there the members are all that is held.
 */
export function mounterRules(): readonly AdmissionValidation[] {
  return [...recordRules(), ...sandboxRules(), leaseRule()];
}

function recordRules(): readonly AdmissionValidation[] {
  const ofOwnNode = `${old}.?nodeName.orValue("") in ${OWN_NODE}`;
  const isEnded = `${old}.?conditions.orValue([]).exists(it, it.type == "Succeeded" && it.status in ["True", "False"])`;
  return [
    refuse(
      `${isRecord} && ${isStatus} && !(${ofOwnNode} || ${old}.?settle.orValue(false) || ${isGoing})`,
      "a mounter tells only of snapshots of its own node, of those that are to be settled, and of those that are removed",
    ),
    refuse(
      `${isRecord} && ${isStatus} && (${foreign(RootfsSnapshotStatusResource, [...OWN_MEMBERS.rootfssnapshots, "settle"])})`,
      `a mounter writes of a snapshot's status only ${OWN_MEMBERS.rootfssnapshots.join(", ")}`,
    ),
    refuse(
      `${isRecord} && ${isStatus} && ${isEnded} && object.?status != ${old}`,
      "the end of a snapshot is told once and never changes",
    ),
    refuse(
      `${isRecord} && ${isStatus} && object.?status.?settle.hasValue() && !${old}.?settle.hasValue()`,
      "a mounter asks nobody to settle a snapshot",
    ),
    refuse(
      `${isRecord} && !(${isStatus}) && !(${isRelease()})`,
      `a mounter changes nothing of a snapshot's object but that it takes the finalizer ${SNAPSHOT_DATA_FINALIZER} off one that is removed`,
    ),
  ];
}

/** The one change of an object's own members: see `SNAPSHOT_DATA_FINALIZER`. */
function isRelease(): string {
  const same = ["labels", "annotations", "ownerReferences"].map(
    (member) => `object.metadata.?${member} == oldObject.metadata.?${member}`,
  );
  const left = `oldObject.metadata.?finalizers.orValue([]).filter(it, it != ${celString(SNAPSHOT_DATA_FINALIZER)})`;
  return [
    `request.operation == "UPDATE"`,
    isGoing,
    "object.spec == oldObject.spec",
    ...same,
    `object.metadata.?finalizers.orValue([]) == ${left}`,
  ].join(" && ");
}

function sandboxRules(): readonly AdmissionValidation[] {
  const sources = "oldObject.spec.?rootfsSnapshotSources.orValue([])";
  const restores = "object.?status.?rootfsRestores.orValue([])";
  return [
    refuse(`${isSandbox} && !(${isStatus})`, "a mounter changes nothing of a sandbox but its status"),
    refuse(
      `${isSandbox} && ${isStatus} && (${foreign(SandboxStatusResource, OWN_MEMBERS.sandboxes)})`,
      `a mounter writes of a sandbox's status only ${OWN_MEMBERS.sandboxes.join(", ")}`,
    ),
    refuse(
      `${isSandbox} && ${isStatus} && !${restores}.all(it, ${sources}.exists(source, source.snapshotName == it.snapshotName))`,
      "a mounter tells of a sandbox only how its own snapshots are restored",
    ),
  ];
}

function leaseRule(): AdmissionValidation {
  return refuse(
    `request.resource.resource == "leases" && object.metadata.?name.orValue("") != ${celString(SNAPSHOT_COLLECTOR_LEASE)}`,
    `a mounter holds no lease but ${SNAPSHOT_COLLECTOR_LEASE}`,
  );
}

/** Whether any member changed that is not its own: those that the definition gets later are among them by themselves. */
function foreign({ shape }: { readonly shape: object }, own: readonly string[]): string {
  return Object.keys(shape)
    .filter((member) => !own.includes(member))
    .map((member) => {
      const changed = `object.?status.?${member} != ${old}.?${member}`;
      return FILLED_MEMBERS.has(member) ? `${old}.?${member}.hasValue() && ${changed}` : changed;
    })
    .join(" || ");
}
