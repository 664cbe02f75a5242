/** When a key that needs nothing now is to be looked at again; absent = only when something changes. */
export interface ReconcileResult {
  /** Milliseconds since the Unix epoch. Replaces what an earlier result asked for. */
  readonly requeueAtMs?: number;
}

/**
 * Brings the world one step closer to what the object of this key asks for. Level-based: it reads
 * all it needs and may be called at any time, but never twice at once for one key. What it throws
 * is tried again with growing pauses, save a `TerminalError`.
 */
export type Reconcile = (key: string, signal: AbortSignal) => Promise<ReconcileResult>;

/** Trying again changes nothing until the object does. */
export class TerminalError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "TerminalError";
  }
}

export type ReconcileOutcome = "done" | "requeued" | "retried" | "terminal" | "aborted";

/** Where a controller's numbers go. */
export interface ControllerObserver {
  reconciled(outcome: ReconcileOutcome, durationMs: number): void;
  /** Time a key waited in the queue before a worker took it. */
  waited(waitMs: number): void;
}
