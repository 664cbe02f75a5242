import * as z from "zod";
import { ContainerName, PositiveSeconds, SandboxId, SnapshotName, Timestamp } from "./scalars.ts";
import { SnapshotBase, SnapshotWarning } from "./snapshot-manifest.ts";

/** Id of the record of one snapshot that is or was taken; not to be confused with the name of what is written. */
export const SnapshotId = SnapshotName;

/** How long a finished record stays. */
export const RecordTtlSeconds = z.int().min(0).max(315_360_000);

/** Body of `POST /v1/rootfs-snapshots`. */
export const CreateRootfsSnapshotRequest = z
  .strictObject({
    $schema: z.string().optional(),
    sandboxId: SandboxId,
    snapshotName: SnapshotName.optional().describe("What sandboxes restore it by; default: the sandbox's id."),
    containerName: ContainerName.optional().describe("Default: the first container."),
    timeoutSeconds: PositiveSeconds.default(300).describe("Longest time from here to completion."),
    ttlSecondsAfterFinished: RecordTtlSeconds.default(300).describe(
      "How long this record stays afterwards; what was written stays in any case.",
    ),
  })
  .meta({ id: "CreateRootfsSnapshotRequest" });

export const RootfsSnapshotStatus = z.enum(["Pending", "Running", "Succeeded", "Failed"]);

export const SnapshotProgress = z
  .object({
    phase: z.enum(["Dumping", "Packing", "Uploading", "Verifying"]),
    bytesDone: z.int().min(0),
    bytesTotal: z.int().min(0).optional().describe("Absent as long as it is not known."),
    message: z.string().max(2048).optional().describe("Why it does not go on, while it does not."),
  })
  .meta({ id: "SnapshotProgress" });

/** A record as clients see it. */
export const RootfsSnapshotResponse = z
  .object({
    id: SnapshotId,
    sandboxId: SandboxId,
    snapshotName: SnapshotName,
    containerName: ContainerName.optional(),
    timeoutSeconds: PositiveSeconds,
    ttlSecondsAfterFinished: RecordTtlSeconds,
    status: RootfsSnapshotStatus,
    reason: z.string().optional().describe("Why it has this status: a CamelCase code."),
    message: z.string().optional().describe("The same in one sentence."),
    creationTimestamp: Timestamp,
    startedAt: Timestamp.optional(),
    completedAt: Timestamp.optional().describe("When it succeeded or failed."),
    expiresAt: Timestamp.optional().describe("When the record goes; what was written stays."),
    progress: SnapshotProgress.optional(),
    snapshotKey: z.string().optional().describe("Where in the store it lies."),
    bytes: z.int().min(0).optional().describe("What was written, compressed."),
    base: SnapshotBase.optional().describe("The image whose changes it holds."),
    warnings: z.array(SnapshotWarning).optional().describe("What it does not hold as it was in the container."),
  })
  .meta({ id: "RootfsSnapshotResponse" });

export const RootfsSnapshotList = z
  .object({
    rootfsSnapshots: z.array(RootfsSnapshotResponse),
    next: z.string().optional().describe("`after` of the next page; absent on the last one."),
  })
  .meta({ id: "RootfsSnapshotList" });

export type CreateRootfsSnapshotRequest = z.infer<typeof CreateRootfsSnapshotRequest>;
export type SnapshotProgress = z.infer<typeof SnapshotProgress>;
export type RootfsSnapshotResponse = z.infer<typeof RootfsSnapshotResponse>;
export type RootfsSnapshotList = z.infer<typeof RootfsSnapshotList>;
