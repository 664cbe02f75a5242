import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import type { Log } from "#core/log.ts";
import { createDeadlines } from "./deadlines.ts";
import { TerminalError, type ControllerObserver, type Reconcile, type ReconcileOutcome } from "./reconcile.ts";
import { createWorkqueue } from "./workqueue.ts";

/** The loop: keys that changed, failed or are due go to workers, one at a time each. */
export interface Controller {
  /** Something about this key changed. Cheap: call it for each event. */
  enqueue(key: string): void;
  /** Looks at the key at this moment (Unix milliseconds) at the latest; its next result replaces it. */
  enqueueAt(key: string, atMs: number): void;
  /**
   * Works until the signal fires, then lets each reconcile that runs come to its end, and resolves.
   * A reconcile sees the signal too.
   */
  run(signal: AbortSignal): Promise<void>;
  readonly depth: number;
  readonly active: number;
  /** Keys with a moment to come. */
  readonly scheduled: number;
}

export interface ControllerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Reconciles at once. */
  readonly concurrency: number;
  /** A reconcile that takes longer is aborted and tried again. @default 120_000 */
  readonly reconcileTimeoutMs?: number;
  /** Pause after the first failure of a key. @default 50 */
  readonly firstRetryMs?: number;
  /** Longest pause between failures of a key. @default 60_000 */
  readonly mostRetryMs?: number;
  /** Name of the key in log lines. @default "key" */
  readonly keyField?: string;
  readonly observer?: ControllerObserver;
}

export function createController(reconcile: Reconcile, options: ControllerOptions): Controller {
  const { clock, log, random, concurrency, observer, keyField = "key" } = options;
  const { reconcileTimeoutMs = 120_000, firstRetryMs = 50, mostRetryMs = 60_000 } = options;
  const queue = createWorkqueue({ now: () => clock.now(), waited: (waitMs) => observer?.waited(waitMs) });
  const deadlines = createDeadlines(clock, (key) => queue.add(key));
  /** Failures in a row of each key that has any. */
  const failures = new Map<string, number>();

  const succeed = (key: string, requeueAtMs: number | undefined): ReconcileOutcome => {
    failures.delete(key);
    if (requeueAtMs === undefined) {
      deadlines.clear(key);
      return "done";
    }
    deadlines.set(key, requeueAtMs);
    return "requeued";
  };

  const fail = (key: string, error: unknown): ReconcileOutcome => {
    if (error instanceof TerminalError) {
      log.error("Gave up until the object changes", { [keyField]: key, error });
      succeed(key, undefined);
      return "terminal";
    }
    const count = failures.get(key) ?? 0;
    failures.set(key, count + 1);
    const pauseMs = backoffMs(count, { firstMs: firstRetryMs, mostMs: mostRetryMs }, random);
    deadlines.set(key, clock.now() + pauseMs);
    log.warn("Will try again", { [keyField]: key, attempt: count + 1, pauseMs: Math.round(pauseMs), error });
    return "retried";
  };

  const work = async (key: string, signal: AbortSignal): Promise<void> => {
    const startMs = clock.now();
    let outcome: ReconcileOutcome;
    try {
      const result = await withLimit(key, signal);
      outcome = succeed(key, result.requeueAtMs);
    } catch (error) {
      outcome = signal.aborted ? "aborted" : fail(key, error);
    }
    observer?.reconciled(outcome, clock.now() - startMs);
  };

  const withLimit = (key: string, signal: AbortSignal) =>
    withDeadline(
      { clock, timeoutMs: reconcileTimeoutMs, signal, late: () => new Error(`It took over ${reconcileTimeoutMs} ms`) },
      (limited) => reconcile(key, limited),
    );

  const worker = async (signal: AbortSignal): Promise<void> => {
    for (;;) {
      const key = await queue.take();
      if (key === undefined) return;
      try {
        if (!signal.aborted) await work(key, signal);
      } finally {
        queue.done(key);
      }
    }
  };

  return {
    enqueue: (key) => queue.add(key),
    enqueueAt: (key, atMs) => deadlines.set(key, atMs),
    async run(signal) {
      const shut = (): void => queue.shut();
      if (signal.aborted) shut();
      else signal.addEventListener("abort", shut, { once: true });
      await Promise.all([deadlines.run(signal), ...Array.from({ length: concurrency }, () => worker(signal))]);
    },
    get depth() {
      return queue.depth;
    },
    get active() {
      return queue.active;
    },
    get scheduled() {
      return deadlines.size;
    },
  };
}
