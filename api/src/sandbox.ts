import * as z from "zod";
import { ContainerName, PositiveSeconds, Quantity, SandboxId, SnapshotName, Timestamp } from "./scalars.ts";

/** Amounts of one container. cpu in cores (`500m` = half), memory and disk in bytes (`256Mi`). */
export const ResourceList = z
  .strictObject({
    cpu: Quantity.optional(),
    memory: Quantity.optional(),
    ephemeralStorage: Quantity.optional(),
  })
  .meta({ id: "ResourceList" });

export const ResourceRequirements = z
  .strictObject({ limits: ResourceList.optional(), requests: ResourceList.optional() })
  .meta({ id: "ResourceRequirements" });

export const ContainerRequest = z
  .strictObject({
    image: z.string().min(1).max(4096),
    name: ContainerName.optional(),
    command: z.array(z.string()).nullish(),
    env: z.record(z.string(), z.string()).optional(),
    resources: ResourceRequirements.optional(),
    rootfsSnapshotName: SnapshotName.optional().describe(
      "Starts the container with what this snapshot holds; one that is not there yet is waited for.",
    ),
    rootfsSnapshotAllowOtherBase: z
      .boolean()
      .optional()
      .describe("Restores the snapshot even onto another image than the one that it was taken over."),
  })
  .meta({ id: "ContainerRequest" });

/** Egress policy; absent means that nothing leaves the sandbox and no name resolves. */
export const Network = z
  .strictObject({
    allowInternetEgress: z.boolean().optional(),
    allowClusterDNS: z.boolean().optional(),
    allowIPv6Egress: z.boolean().optional(),
    allowedEgressCIDRs: z.array(z.string().max(43)).max(16).optional(),
    nameservers: z.array(z.string().max(45)).max(3).optional(),
    egressRateLimitBytesPerSecond: z.int().min(1).max(1_000_000_000_000).optional(),
  })
  .meta({ id: "Network" });

export const TerminationPolicy = z
  .strictObject({
    type: z.enum(["Delete", "SnapshotRootfs"]).default("Delete"),
    snapshotRootfs: z
      .strictObject({ snapshotName: SnapshotName.optional(), timeoutSeconds: PositiveSeconds.default(300) })
      .optional(),
  })
  .refine((policy) => (policy.type === "SnapshotRootfs") === (policy.snapshotRootfs !== undefined), {
    message: "snapshotRootfs must be present when type is SnapshotRootfs and absent otherwise",
    path: ["snapshotRootfs"],
  })
  .meta({ id: "TerminationPolicy" });

/** Body of `POST /v1/sandboxes`. */
export const CreateSandboxRequest = z
  .strictObject({
    $schema: z.string().optional(),
    podTemplate: z.strictObject({ containers: z.array(ContainerRequest).min(1).max(16) }),
    timeoutSeconds: PositiveSeconds.optional(),
    startupTimeoutSeconds: PositiveSeconds.default(90),
    network: Network.optional(),
    terminationPolicy: TerminationPolicy.optional(),
  })
  .meta({ id: "CreateSandboxRequest" });

/** The five states a client can see. */
export const SandboxStatus = z.enum(["Pending", "Running", "Terminating", "Succeeded", "Failed"]);

export const ContainerResponse = z
  .object({
    name: ContainerName,
    image: z.string(),
    command: z.array(z.string()).optional(),
    resources: ResourceRequirements.optional(),
    rootfsSnapshotName: SnapshotName.optional(),
    rootfsSnapshotAllowOtherBase: z.boolean().optional(),
  })
  .meta({ id: "ContainerResponse" });

/** A sandbox as clients see it; `env` is write-only and never part of it. */
export const SandboxResponse = z
  .object({
    id: SandboxId,
    podTemplate: z.object({ containers: z.array(ContainerResponse) }),
    status: SandboxStatus,
    /** Why the sandbox is in this status: a CamelCase code, present when there is more to say. */
    reason: z.string().optional(),
    /** The same for people, in one sentence. */
    message: z.string().optional(),
    creationTimestamp: Timestamp,
    timeoutSeconds: PositiveSeconds.optional(),
    startupTimeoutSeconds: PositiveSeconds,
    network: Network.optional(),
    terminationPolicy: TerminationPolicy.optional(),
  })
  .meta({ id: "SandboxResponse" });

export const SandboxSummary = z
  .object({ id: SandboxId, status: SandboxStatus, creationTimestamp: Timestamp })
  .meta({ id: "SandboxSummary" });

export const SandboxList = z.object({ sandboxes: z.array(SandboxSummary) }).meta({ id: "SandboxList" });

export type ResourceList = z.infer<typeof ResourceList>;
export type ResourceRequirements = z.infer<typeof ResourceRequirements>;
export type Network = z.infer<typeof Network>;
export type TerminationPolicy = z.infer<typeof TerminationPolicy>;
export type CreateSandboxRequest = z.infer<typeof CreateSandboxRequest>;
export type SandboxStatus = z.infer<typeof SandboxStatus>;
export type SandboxResponse = z.infer<typeof SandboxResponse>;
export type SandboxSummary = z.infer<typeof SandboxSummary>;
