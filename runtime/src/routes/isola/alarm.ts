import type { Clock } from "#core/clock.ts";

/** What `within` answers when the time came first. */
export const LATE = Symbol("late");

/** Bounds wait after wait, one at a time, with a single timer: a timer for each chunk of a stream would cost more than the chunk. */
export interface Alarm {
  /** The work's outcome, or `LATE` when `atMs` of the clock comes before; the work goes on then. */
  within<T>(work: Promise<T>, atMs: number): Promise<T | typeof LATE>;
  /** Ends the timer, and with it all waiting. */
  stop(): void;
}

export function createAlarm(clock: Clock): Alarm {
  let dueMs = 0;
  let ring: (() => void) | undefined;
  let timer: { readonly atMs: number; readonly end: AbortController } | undefined;

  /** A timer that rings too early is set again: most waits end long before it. */
  const onTimer = (): void => {
    timer = undefined;
    if (ring === undefined) return;
    if (clock.now() >= dueMs) ring();
    else setTimer();
  };
  function setTimer(): void {
    if (timer !== undefined && timer.atMs <= dueMs) return;
    timer?.end.abort();
    const end = new AbortController();
    const set = { atMs: dueMs, end };
    timer = set;
    clock.sleep(Math.max(dueMs - clock.now(), 0), end.signal).then(
      () => {
        if (timer === set) onTimer();
      },
      () => undefined,
    );
  }

  return {
    within: (work, atMs) =>
      new Promise((resolve, reject) => {
        const settle = (act: () => void): void => {
          if (ring === onRing) ring = undefined;
          act();
        };
        const onRing = (): void => settle(() => resolve(LATE));
        dueMs = atMs;
        ring = onRing;
        work.then(
          (value) => settle(() => resolve(value)),
          (error: unknown) => settle(() => reject(error)),
        );
        setTimer();
      }),
    stop() {
      ring = undefined;
      timer?.end.abort();
      timer = undefined;
    },
  };
}
