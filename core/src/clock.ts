/** Source of time. Every wait takes a signal and rejects with its reason when aborted. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Longest timer of JavaScript runtimes; a longer one fires at once. */
export const MAX_TIMER_MS = 2_000_000_000;

/** Real time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    for (let leftMs = ms; ; leftMs -= MAX_TIMER_MS) {
      await sleepOnce(Math.min(leftMs, MAX_TIMER_MS), signal);
      if (leftMs <= MAX_TIMER_MS) return;
    }
  },
};

function sleepOnce(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
