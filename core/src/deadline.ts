import type { Clock } from "./clock.ts";

export interface Deadline {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** The caller's own. */
  readonly signal: AbortSignal;
  /** What the work is aborted with when the time is over. */
  readonly late: () => Error;
}

/**
 * Runs `work` with a signal that fires when the caller's does or the time is over. Leaves nothing
 * behind: neither a timer nor a listener on the caller's signal, which may live as long as the program.
 */
export async function withDeadline<T>(
  { clock, timeoutMs, signal, late }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const abort = new AbortController();
  const isOver = new AbortController();
  const onAbort = (): void => abort.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  clock.sleep(timeoutMs, isOver.signal).then(
    () => abort.abort(late()),
    () => undefined,
  );
  try {
    return await work(abort.signal);
  } catch (error) {
    // Runtimes wrap the reason, or throw an error of their own: the reason is what the caller knows.
    abort.signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    isOver.abort(WORK_IS_OVER);
  }
}

/** One value for all: making an error with its stack for each call costs more than the rest of this file. */
const WORK_IS_OVER = "the work is over";
