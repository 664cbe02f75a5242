import * as z from "zod";
import { ContainerName, PositiveSeconds, SandboxId, SnapshotName } from "../scalars.ts";
import { SnapshotBase, SnapshotWarning, SnapshotWriteId } from "../snapshot-manifest.ts";
import { RecordTtlSeconds, SnapshotProgress } from "../snapshot.ts";
import { celRules, immutableOnceSet } from "./cel.ts";
import { Condition, type ObjectMeta } from "./object.ts";

/** `spec` of a RootfsSnapshot object: which container of which sandbox, and under which name it is kept. */
export const RootfsSnapshotSpecResource = z
  .object({
    sandboxName: SandboxId,
    snapshotName: SnapshotName.describe(
      "What sandboxes restore it by; absent means the sandbox's name.",
    ).exactOptional(),
    containerName: ContainerName.describe("Absent means the first container.").exactOptional(),
    timeoutSeconds: PositiveSeconds.default(300).describe("Longest time from the object's creation to completion."),
    ttlSecondsAfterFinished: RecordTtlSeconds.default(300).describe(
      "How long the object stays afterwards; what was written stays in any case.",
    ),
  })
  .meta(
    celRules(
      { rule: "self.sandboxName == oldSelf.sandboxName", message: "sandboxName cannot be changed" },
      immutableOnceSet("snapshotName"),
      immutableOnceSet("containerName"),
      immutableOnceSet("timeoutSeconds"),
    ),
  );

const Time = z.string().meta({ format: "date-time" });

/** `status` of a RootfsSnapshot object. The condition `Succeeded` is absent until it has ended, and then never changes. */
export const RootfsSnapshotStatusResource = z.object({
  conditions: z
    .array(Condition)
    .max(16)
    .readonly()
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] })
    .exactOptional(),
  startTime: Time.describe("When taking it began.").exactOptional(),
  nodeName: z.string().max(253).describe("The node whose mounter takes it.").exactOptional(),
  podUid: z.string().max(64).describe("The pod that the container was chosen in.").exactOptional(),
  publishBy: Time.describe(
    "From the moment at which the snapshot may become visible in the store: until when that may happen.",
  ).exactOptional(),
  settle: z.literal(true).describe("Who took it has not said how it ended: the store is to be asked.").exactOptional(),
  completionTime: Time.describe("When it succeeded or failed.").exactOptional(),
  containerID: z.string().max(512).exactOptional(),
  containerName: ContainerName.describe("The container that was chosen.").exactOptional(),
  snapshotKey: z.string().max(1024).describe("Where in the store it lies.").exactOptional(),
  writeId: SnapshotWriteId.describe("What the manifest that it wrote is marked with.").exactOptional(),
  bytes: z.int().min(0).describe("What was written, compressed.").exactOptional(),
  base: z.object(SnapshotBase.shape).describe("The image whose changes it holds.").exactOptional(),
  progress: z.object(SnapshotProgress.shape).exactOptional(),
  warnings: z
    .array(z.object(SnapshotWarning.shape))
    .max(32)
    .readonly()
    .meta({
      description: "What it does not hold as it was in the container.",
      "x-kubernetes-list-type": "atomic",
    })
    .exactOptional(),
});

export type RootfsSnapshotSpecResource = z.infer<typeof RootfsSnapshotSpecResource>;
export type RootfsSnapshotStatusResource = z.infer<typeof RootfsSnapshotStatusResource>;

/** A RootfsSnapshot object. */
export interface RootfsSnapshotResource {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly spec: RootfsSnapshotSpecResource;
  readonly status?: RootfsSnapshotStatusResource;
}
