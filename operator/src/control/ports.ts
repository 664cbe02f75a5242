import type { ObjectReference } from "#core/kubernetes/event.ts";

/** Where the numbers of the sandboxes themselves go. */
export interface SandboxObserver {
  /** A pod was made. */
  created(): void;
  /** A lifetime was over. */
  timedOut(): void;
  /** From the object's creation until all of it was ready. */
  ready(durationMs: number): void;
}

/** Where the numbers of records of snapshots go. */
export interface SnapshotObserver {
  /** A node was given one, or it failed before. */
  created(): void;
  completed(result: "succeeded" | "failed"): void;
}

/** What happened to an object, for whoever describes it. */
export interface EventFacts {
  readonly type: "Normal" | "Warning";
  /** A CamelCase code. */
  readonly reason: string;
  /** What was done, a CamelCase verb. */
  readonly action: string;
  /** One sentence. */
  readonly note: string;
}

/** Tells the cluster what happened. Returns at once, whatever becomes of the event. */
export interface EventRecorder {
  record(regarding: ObjectReference, facts: EventFacts): void;
}
