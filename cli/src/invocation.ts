/** Options that each verb takes. */
export interface Common {
  /** ATOLL_HOME given by `--home`. */
  readonly home?: string;
  readonly json: boolean;
}

export interface Up extends Common {
  readonly verb: "up";
  readonly detach: boolean;
  /** Absent = as the environment says. */
  readonly listen?: string;
  readonly port?: number;
  readonly insecure: boolean;
  readonly first: boolean;
}

export interface Down extends Common {
  readonly verb: "down";
  readonly keepSandboxes: boolean;
}

export interface Status extends Common {
  readonly verb: "status";
}

export interface Test extends Common {
  readonly verb: "test";
  readonly quick: boolean;
  readonly soak: boolean;
  readonly list: boolean;
  /** Names of suites; empty = all. */
  readonly only: readonly string[];
}

export interface Bench extends Common {
  readonly verb: "bench";
  readonly list: boolean;
  /** Names of benchmarks; empty = all. */
  readonly names: readonly string[];
}

export interface Doctor extends Common {
  readonly verb: "doctor";
  readonly port?: number;
}

export interface Testbed extends Common {
  readonly verb: "testbed";
  readonly action: TestbedAction;
}

export const TESTBED_ACTIONS = ["up", "down", "status", "kubeconfig"] as const;
export type TestbedAction = (typeof TESTBED_ACTIONS)[number];

export interface Version extends Common {
  readonly verb: "version";
}

/** What the command line asks for. */
export type Invocation = Up | Down | Status | Test | Bench | Testbed | Doctor | Version;
