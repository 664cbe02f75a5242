/**
 * The sandbox as the programs think of it, apart from any wire. Optional members are
 * absent, never null; amounts keep the canonical quantity text (`core/quantity.ts` parses it).
 */
export interface SandboxSpec {
  /** At least one; names are unique. The first is the default for snapshots. */
  readonly containers: readonly ContainerSpec[];
  /** Lifetime from the moment the sandbox is Running; absent = no limit. */
  readonly timeoutSeconds?: number;
  /** Longest time from creation to Running. */
  readonly startupTimeoutSeconds: number;
  readonly network?: NetworkSpec;
  readonly terminationPolicy?: TerminationPolicySpec;
}

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  /** Replaces the image's entrypoint; absent or empty = `sleep infinity`. */
  readonly command?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly resources?: { readonly limits?: Amounts; readonly requests?: Amounts };
  /** Snapshot to start from; one that is not there yet is waited for. */
  readonly rootfsSnapshotName?: string;
  /** True = restore it even onto another image than it was taken over. */
  readonly rootfsSnapshotAllowOtherBase?: boolean;
}

/** Canonical quantities: cpu in cores, memory and ephemeralStorage in bytes. */
export interface Amounts {
  readonly cpu?: string;
  readonly memory?: string;
  readonly ephemeralStorage?: string;
}

export interface NetworkSpec {
  readonly allowInternetEgress?: boolean;
  readonly allowClusterDNS?: boolean;
  readonly allowIPv6Egress?: boolean;
  readonly allowedEgressCIDRs?: readonly string[];
  readonly nameservers?: readonly string[];
  readonly egressRateLimitBytesPerSecond?: number;
}

export interface TerminationPolicySpec {
  readonly type: "Delete" | "SnapshotRootfs";
  readonly snapshotRootfs?: { readonly snapshotName?: string; readonly timeoutSeconds: number };
}

export type SandboxPhase = "Pending" | "Running" | "Terminating" | "Succeeded" | "Failed";

/** Codes in `Sandbox.reason`. The first group are the contract's, the second are ours. */
export type SandboxReason =
  | "PodPending"
  | "PodRunning"
  | "PodSucceeded"
  | "PodFailed"
  | "PodCreationFailed"
  | "StartupTimeoutExceeded"
  | "Timeout"
  | "Deleting"
  | "NetworkPolicyFailed"
  | "RootfsRestoreConfigurationError"
  | "RootfsSnapshottingInProgress"
  | "WaitingForSnapshot"
  | "SnapshotDamaged"
  | "ImageNotFound"
  | "ImagePullDenied"
  | "ImagePullFailed"
  | "CommandNotFound"
  | "OutOfMemory"
  | "PidsExhausted"
  | "DiskPressure"
  | "AgentLost"
  | "SandboxLost";

export interface Sandbox {
  readonly id: string;
  readonly spec: SandboxSpec;
  readonly phase: SandboxPhase;
  readonly reason?: SandboxReason;
  /** One sentence for people. */
  readonly message?: string;
  /** Times are milliseconds since the Unix epoch. */
  readonly createdAtMs: number;
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  /** Digest of the request that made it: a repeated create with the same id must match. */
  readonly requestDigest: string;
}

/** True when the sandbox will never run again. */
export function hasEnded(phase: SandboxPhase): boolean {
  return phase === "Succeeded" || phase === "Failed";
}
