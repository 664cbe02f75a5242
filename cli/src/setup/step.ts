import type { Log } from "#core/log.ts";

/** What a step may say while it runs; each update replaces the one before. */
export interface StepProgress {
  /** Done part, 0 to 1; absent while the size of the work is unknown. */
  readonly fraction?: number;
  /** A few words for the same line, e.g. "82 of 310 packages". */
  readonly detail?: string;
}

/** What every step gets: where things lie, how to report, when to stop. */
export interface SetupContext {
  /** ATOLL_HOME, absolute; exists. */
  readonly home: string;
  /** The checkout's root, absolute. */
  readonly repo: string;
  readonly progress: (update: StepProgress) => void;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * One thing the machine needs before sandboxes can run. Steps run in order, each at most once at a
 * time on a machine. A step must bear being killed at any moment and run again.
 */
export interface SetupStep {
  /** Stable kebab-case name, as in JSON lines. */
  readonly name: string;
  /** What a person reads, e.g. "Base image atoll/debian". */
  readonly title: string;
  /** Cheap and without side effects: is `run` needed? */
  check(context: SetupContext): Promise<StepCheck>;
  /** Makes it so. Throws an Error whose message is one plain sentence. */
  run(context: SetupContext): Promise<void>;
}

export interface StepCheck {
  readonly needed: boolean;
  /** Why it is needed, or what was found. */
  readonly reason?: string;
}
