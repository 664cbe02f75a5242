import { MAX_TIMER_MS } from "./deadline.ts";

/** Notices that something awaited does not happen. */
export interface Watchdog {
  /** Waiting begins, or there was progress: the full time starts again. */
  arm(): void;
  /** Nothing is awaited for now. */
  rest(): void;
  /** Ends it; no timer is left. */
  stop(): void;
}

/**
 * Calls `onExpire` once when `limitMs` pass after the latest `arm`. One timer serves any
 * number of `arm` and `rest`, so that a fast stream does not pay for a timer a piece.
 */
export function createWatchdog(limitMs: number, onExpire: () => void): Watchdog {
  let dueAtMs = Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const check = (): void => {
    timer = undefined;
    if (dueAtMs === Infinity) return;
    const leftMs = dueAtMs - performance.now();
    if (leftMs <= 0) onExpire();
    else timer = setTimeout(check, Math.min(leftMs, MAX_TIMER_MS));
  };
  return {
    arm() {
      if (limitMs === Infinity) return;
      dueAtMs = performance.now() + limitMs;
      timer ??= setTimeout(check, Math.min(limitMs, MAX_TIMER_MS));
    },
    rest() {
      dueAtMs = Infinity;
    },
    stop() {
      dueAtMs = Infinity;
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
