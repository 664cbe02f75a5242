/** How to find out whether a program does its work. */
export type Probe =
  /** Answers with 200. TLS certificates are not checked: all of it is on the node itself. */
  | {
      readonly kind: "http";
      readonly url: string;
      readonly certificate?: { readonly cert: string; readonly key: string };
    }
  /** Somebody listens there. */
  | { readonly kind: "socket"; readonly path: string };

/** A program that runs on the node and is started again whenever it ends. */
export interface Component {
  readonly name: string;
  readonly command: readonly string[];
  readonly probe: Probe;
  /** Components that must be healthy before its first start. */
  readonly after: readonly string[];
}

/** Where a component stands, as `testbed status` shows it. */
export interface ComponentStatus {
  readonly name: string;
  readonly state: "waiting" | "running" | "restarting" | "stopped";
  /** In the box's own numbers; absent when it does not run. */
  readonly pid?: number;
  /** Starts after the first one that nobody asked for. */
  readonly restarts: number;
  readonly healthy: boolean;
}
