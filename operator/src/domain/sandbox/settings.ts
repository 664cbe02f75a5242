/** What an installation says about all its sandboxes. */
export interface SandboxSettings {
  readonly agent: AgentSettings;
  readonly runtimeClass: string;
  readonly priorityClass?: string;
  /** Names of Secrets in the sandbox's namespace. */
  readonly imagePullSecrets: readonly string[];
  /** How long the record of an ended sandbox stays, by how it ended; 0 = not at all. */
  readonly retention: RetentionSettings;
  /** A sandbox whose creator never confirmed it is removed when it is so old. */
  readonly provisionalMs: number;
  /** Absent where none are taken or restored. */
  readonly snapshots?: SnapshotSettings;
}

/** How pods reach the mounter of their node. */
export interface SnapshotSettings {
  /** Where it answers kubelet, on the node's loopback address. */
  readonly restorePort: number;
  /** Host folder of the archives that containers start from. */
  readonly restoreFolder: string;
}

export interface AgentSettings {
  readonly image: string;
  readonly imagePullPolicy: "Always" | "IfNotPresent" | "Never";
  /** Reported in each sandbox's status. */
  readonly version: string;
  /** What agents check gateways' tokens with. */
  readonly gatewayPublicKey: string;
  /** The agent's own need, added on top of the user's amounts: Kubernetes quantities. */
  readonly requests: { readonly cpu: string; readonly memory: string };
  readonly limits: { readonly cpu: string; readonly memory: string; readonly "ephemeral-storage": string };
  /** Most bytes of output that one agent keeps. */
  readonly journalBudgetBytes: number;
}

export interface RetentionSettings {
  /** The lifetime was over. */
  readonly timeoutMs: number;
  /** It never ran. */
  readonly startupFailureMs: number;
  /** It ran and ended by itself. */
  readonly finishedMs: number;
}
