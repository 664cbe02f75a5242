import type { ContainerdProcess } from "./domain/containerd-process.ts";
import type { CriStatus } from "./domain/cri-message.ts";
import type { CgroupDriver } from "./domain/runsc-config.ts";

/** What each call carries: when to stop waiting. */
export interface Call {
  readonly signal: AbortSignal;
}

/** The node: its files and processes. Paths are the node's own. */
export interface Host {
  /** Undefined = no such file. */
  readText(path: string): Promise<string | undefined>;
  /** Whole or not at all, durable, with the mode the file had. */
  writeText(path: string, text: string): Promise<void>;
  removeFile(path: string): Promise<void>;
  /** Runs a program in the node's file system, as the process `pid` sees it: standard output. Throws with standard error when it fails. */
  run(pid: number, command: readonly string[], call: Call): Promise<string>;
  /** All containerd daemons. */
  containerds(): Promise<readonly ContainerdProcess[]>;
  /** Socket of the containerd that runs this very program; undefined = it runs outside of any. */
  ownSocket(): Promise<string | undefined>;
  /** Asks a process to end. */
  terminate(pid: number): Promise<void>;
}

/** gVisor's programs on the node. */
export interface ReleaseStore {
  /** Puts the release of this image at its place; one that is there and whole stays. Gives its folder on the node. */
  place(): Promise<{ readonly release: string; readonly folder: string }>;
  /** Folder that containerd's section means; undefined = none yet. */
  current(): Promise<string | undefined>;
  /** Makes the section mean this folder, at once and for all that starts later; undefined takes the meaning away. */
  setCurrent(folder: string | undefined): Promise<void>;
  /** Whether a sandbox once ran with this release on this node. */
  isProven(folder: string): Promise<boolean>;
  setProven(folder: string): Promise<void>;
  /** Removes releases that nothing runs from; the current one stays. */
  prune(): Promise<void>;
}

/** The interface that kubelet uses, at containerd's socket. */
export interface Cri {
  status(socket: string, call: Call): Promise<CriStatus>;
  /** Starts and removes a pod without containers. */
  tryPod(
    socket: string,
    options: { readonly handler: string; readonly cgroupDriver: CgroupDriver },
    call: Call,
  ): Promise<void>;
}

/** What the cluster is told of this node. */
export interface NodeReport {
  works(release: string, call: Call): Promise<void>;
  /** `reason` is one sentence for whoever operates the cluster. */
  fails(reason: string, call: Call): Promise<void>;
  removed(call: Call): Promise<void>;
}
