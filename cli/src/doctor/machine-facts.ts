/** What `doctor` reads from a machine; undefined = could not be found out. */
export interface MachineFacts {
  readonly isRoot: boolean;
  readonly architecture: string;
  readonly kernel: string;
  /** Names below `/proc/self/ns`. */
  readonly namespaces: readonly string[];
  /** What a try to make a link in a namespace of its own said: "" = it works. */
  readonly vethFault: string | undefined;
  readonly network: NetworkFacts | undefined;
  /** Controllers that sandboxes can be limited with, and the version of the hierarchy. */
  readonly cgroup: { readonly version: 1 | 2 | undefined; readonly controllers: readonly string[] };
  readonly cpuFlags: readonly string[];
  readonly memoryBytes: number;
  /** Free disk below ATOLL_HOME. */
  readonly freeDiskBytes: number;
  readonly home: string;
  /** Whether set-up has filled ATOLL_HOME already. */
  readonly isSetUp: boolean;
  /** Output of `runsc --version` and where it lies; undefined when there is none. */
  readonly runsc: { readonly path: string; readonly versionOutput: string } | undefined;
  /** Debian packages that set-up would install. */
  readonly missingPackages: readonly string[];
  readonly hasApt: boolean;
  readonly port: number;
  /** Why the port cannot be used; undefined when it can. */
  readonly portObstacle: string | undefined;
  /** Address of an Atoll that is up. */
  readonly upAt: string | undefined;
}

/** What the kernel and the host's own network let the gateway do for sandboxes. */
export interface NetworkFacts {
  /** The kernel takes the whole ruleset. */
  readonly rules: boolean;
  /** `drop`: the kernel has no queue in which packets over a rate could wait. */
  readonly rateLimit: "shape" | "drop";
  readonly ipv6: boolean;
  /** IPv6 can be forwarded per interface. */
  readonly ipv6PerInterface: boolean;
  /** One sentence when the address pool cannot be used. */
  readonly clash?: string;
  /** Chains of other software that drop forwarded packets by default. */
  readonly foreignDrops: readonly string[];
}
