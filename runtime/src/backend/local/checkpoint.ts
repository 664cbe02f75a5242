import type { Call } from "#runtime/backend/port.ts";

/**
 * Why a checkpoint was not taken. `container-ended`: a root can be saved only while its container's
 * main process runs; `busy`: one of the same sandbox is still being saved.
 */
export type CheckpointFault =
  | "container-unknown"
  | "container-ended"
  | "sandbox-lost"
  | "disk-full"
  | "timeout"
  | "busy"
  | "failed";

export class CheckpointError extends Error {
  readonly fault: CheckpointFault;

  constructor(fault: CheckpointFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CheckpointError";
    this.fault = fault;
  }
}

export interface CheckpointCall extends Call {
  /** Longest wait for the kernel to have saved all. */
  readonly timeoutMs: number;
}

export interface LossesCall {
  /** Longest wait for the answer. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What a container had changed of its root at one moment, on staging disk until it is removed. */
export interface Checkpoint {
  /** Folder of gVisor's four files. */
  readonly dir: string;
  /** The container's name within them. */
  readonly name: string;
  /** Length of all files; their disk is accounted until `remove`. */
  readonly bytes: number;
  /** What the reference of the image at the bottom means in its registry; absent when that is not known. */
  readonly base?: string;
  /** Of the layers between the image and what was saved. */
  readonly tarDigests: readonly string[];
  /** How long the sandbox stood still, at most. */
  readonly durationMs: number;
  remove(): Promise<void>;
}
