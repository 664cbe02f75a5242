/**
 * A level-based wake-up: `wait` resolves at the next `notify` after the call. The waiter looks
 * at the state itself, so a missed or spurious wake-up does no harm.
 */
export interface Change {
  notify(): void;
  /** Rejects with the signal's reason when aborted. */
  wait(signal?: AbortSignal): Promise<void>;
}

export function createChange(): Change {
  const waiters = new Set<() => void>();
  return {
    notify() {
      // A set may shrink while it is walked; whoever waits anew is not woken by this round.
      const present = Array.from(waiters);
      for (const wake of present) wake();
    },
    wait: (signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const leave = (): void => {
          waiters.delete(wake);
          signal?.removeEventListener("abort", onAbort);
        };
        const wake = (): void => {
          leave();
          resolve();
        };
        const onAbort = (): void => {
          leave();
          reject(signal?.reason);
        };
        waiters.add(wake);
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
  };
}
