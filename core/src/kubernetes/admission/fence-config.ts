/** What the fence around sandbox namespaces depends on. */
export interface FenceConfig {
  readonly sandboxNamespaces: readonly string[];
  /** User name under which the operator speaks to the API server. */
  readonly operatorUser: string;
  /** The only runtime class of pods in those namespaces. */
  readonly runtimeClass: string;
  /** How sandboxes start from snapshots. Absent = none does, and no pod is asked or stopped through its node. */
  readonly restores?: RestoreConfig;
  /** Linux capabilities, with or without `CAP_`. */
  readonly capabilities: {
    /** What any container may add. */
    readonly container: readonly string[];
    /** What the operator alone gives to containers of a sandbox, to tell them apart. */
    readonly marks: readonly string[];
    /** What the operator alone gives to the agent's container. */
    readonly agent: readonly string[];
  };
  /** The operator's trial of network policies. Absent = it makes none, and has no right to. */
  readonly networkTrial?: NetworkTrialConfig;
  /** User name under which the installer speaks to the API server. Absent = there is none. */
  readonly installerUser?: string;
  /** User name under which the mounters speak to the API server. Absent = there are none. */
  readonly mounterUser?: string;
  /** Begins the names of the policies, so that installations of one cluster have their own. @default "atoll" */
  readonly prefix?: string;
}

/** What the operator makes of a sandbox that starts from, or ends with, a snapshot. */
export interface RestoreConfig {
  /** Host folder of the archives. */
  readonly folder: string;
  /** Where the mounter of a node answers kubelet, on the loopback address. */
  readonly port: number;
}

/** What the operator runs in the system namespace, and nothing else. */
export interface NetworkTrialConfig {
  /** The system namespace. */
  readonly namespace: string;
  /** The agent's image without tag and digest. */
  readonly imageRepository: string;
  /** What the trial's pods run, to the letter. */
  readonly commands: { readonly server: readonly string[]; readonly client: readonly string[] };
}

/** User name of a service account. */
export function serviceAccountUser(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}
