/**
 * The documents of the REST API as this client sends and reads them. The server's own
 * schemas are their source; a test of the project fails when the two drift apart.
 */

/** The five states of a sandbox. */
export type SandboxStatus = "Pending" | "Running" | "Terminating" | "Succeeded" | "Failed";

/** Amounts of one container as quantity strings: `500m` cores, `256Mi` bytes. */
export interface ResourceList {
  cpu?: string | undefined;
  memory?: string | undefined;
  ephemeralStorage?: string | undefined;
}

export interface ResourceRequirements {
  limits?: ResourceList | undefined;
  requests?: ResourceList | undefined;
}

/** What may leave a sandbox; without it nothing leaves and no name resolves. */
export interface Network {
  allowInternetEgress?: boolean | undefined;
  allowClusterDNS?: boolean | undefined;
  allowIPv6Egress?: boolean | undefined;
  allowedEgressCIDRs?: string[] | undefined;
  nameservers?: string[] | undefined;
  egressRateLimitBytesPerSecond?: number | undefined;
}

export interface ContainerBody {
  image: string;
  name?: string | undefined;
  command?: string[] | null | undefined;
  env?: Record<string, string> | undefined;
  resources?: ResourceRequirements | undefined;
  rootfsSnapshotName?: string | undefined;
  rootfsSnapshotAllowOtherBase?: boolean | undefined;
}

export interface TerminationPolicyBody {
  type?: "Delete" | "SnapshotRootfs" | undefined;
  snapshotRootfs?: { snapshotName?: string | undefined; timeoutSeconds?: number | undefined } | undefined;
}

/** Body of `POST /v1/sandboxes`. */
export interface CreateSandboxBody {
  podTemplate: { containers: ContainerBody[] };
  timeoutSeconds?: number | undefined;
  startupTimeoutSeconds?: number | undefined;
  network?: Network | undefined;
  terminationPolicy?: TerminationPolicyBody | undefined;
}

/** One container of a sandbox as the server reports it. */
export interface ContainerInfo {
  name: string;
  image: string;
  command?: string[] | undefined;
  resources?: ResourceRequirements | undefined;
  rootfsSnapshotName?: string | undefined;
  rootfsSnapshotAllowOtherBase?: boolean | undefined;
}

/** How a sandbox ends, as the server reports it. */
export interface TerminationPolicyInfo {
  type: "Delete" | "SnapshotRootfs";
  snapshotRootfs?: { snapshotName?: string | undefined; timeoutSeconds: number } | undefined;
}

/** A sandbox as the server reports it. */
export interface SandboxDocument {
  id: string;
  podTemplate: { containers: ContainerInfo[] };
  status: SandboxStatus;
  reason?: string | undefined;
  message?: string | undefined;
  creationTimestamp: string;
  timeoutSeconds?: number | undefined;
  startupTimeoutSeconds: number;
  network?: Network | undefined;
  terminationPolicy?: TerminationPolicyInfo | undefined;
}

export interface SandboxSummaryDocument {
  id: string;
  status: SandboxStatus;
  creationTimestamp: string;
}

/** Body of `POST /v1/sandboxes/{id}/commands`. */
export interface CreateCommandBody {
  args: string[];
  env?: Record<string, string> | undefined;
  cwd?: string | undefined;
  timeoutSeconds?: number | undefined;
}

/** Body of `POST /v1/rootfs-snapshots`. */
export interface CreateSnapshotBody {
  sandboxId: string;
  snapshotName?: string | undefined;
  containerName?: string | undefined;
  timeoutSeconds?: number | undefined;
  ttlSecondsAfterFinished?: number | undefined;
}

/** The four states of a snapshot. */
export type SnapshotStatus = "Pending" | "Running" | "Succeeded" | "Failed";

/** How far taking a snapshot has come. */
export interface SnapshotProgress {
  phase: "Dumping" | "Packing" | "Uploading" | "Verifying";
  bytesDone: number;
  bytesTotal?: number | undefined;
  /** Why it does not go on, while it does not. */
  message?: string | undefined;
}

/** The image whose changes a snapshot holds. */
export interface SnapshotBase {
  image: string;
  digest?: string | undefined;
}

/** Something that a snapshot does not hold as it was in the container. */
export interface SnapshotWarning {
  code: string;
  message: string;
  count: number;
  examples: string[];
}

/** The record of a snapshot as the server reports it. */
export interface SnapshotDocument {
  id: string;
  sandboxId: string;
  snapshotName: string;
  containerName?: string | undefined;
  timeoutSeconds: number;
  ttlSecondsAfterFinished: number;
  status: SnapshotStatus;
  reason?: string | undefined;
  message?: string | undefined;
  creationTimestamp: string;
  startedAt?: string | undefined;
  completedAt?: string | undefined;
  expiresAt?: string | undefined;
  progress?: SnapshotProgress | undefined;
  snapshotKey?: string | undefined;
  bytes?: number | undefined;
  base?: SnapshotBase | undefined;
  warnings?: SnapshotWarning[] | undefined;
}

/** One page of records. */
export interface SnapshotListDocument {
  rootfsSnapshots: SnapshotDocument[];
  next?: string | undefined;
}

/** One fault in a request. */
export interface ProblemFault {
  message: string;
  location?: string | undefined;
  value?: unknown;
}

/** The codes of the problems that an Atoll server answers with. */
export type ProblemSlug =
  | "bad-request"
  | "bad-quantity"
  | "bad-path"
  | "not-a-file"
  | "container-required"
  | "unknown-container"
  | "bad-working-directory"
  | "bad-offset"
  | "unauthorized"
  | "forbidden-origin"
  | "not-permitted"
  | "path-escape"
  | "not-found"
  | "sandbox-not-found"
  | "snapshot-not-found"
  | "command-not-found"
  | "file-not-found"
  | "method-not-allowed"
  | "sandbox-not-ready"
  | "sandbox-ended"
  | "sandbox-exists"
  | "snapshot-in-use"
  | "conflict"
  | "command-ended"
  | "stdin-closed"
  | "outcome-unknown"
  | "container-ended"
  | "idempotency-in-use"
  | "output-gone"
  | "body-too-large"
  | "headers-too-large"
  | "unsupported-media-type"
  | "validation-failed"
  | "blocked-cidr"
  | "idempotency-mismatch"
  | "not-supported"
  | "too-many-requests"
  | "capacity-exhausted"
  | "disk-full"
  | "start-failed"
  | "internal"
  | "agent-unreachable"
  | "unavailable";
