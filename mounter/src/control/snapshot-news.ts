import type { Clock } from "#core/clock.ts";

/** Wakes those who wait for a snapshot. */
export interface SnapshotNews {
  /** A snapshot of this name was written. */
  tell(namespace: string, name: string): void;
  /** Resolves when that is told, or after so long. */
  wait(namespace: string, name: string, mostMs: number, signal: AbortSignal): Promise<void>;
}

export function createSnapshotNews(clock: Clock): SnapshotNews {
  const waiting = new Map<string, Set<AbortController>>();
  return {
    tell(namespace, name) {
      for (const waiter of waiting.get(`${namespace}/${name}`) ?? []) waiter.abort(TOLD);
    },
    async wait(namespace, name, mostMs, signal) {
      const key = `${namespace}/${name}`;
      const waiter = new AbortController();
      const waiters = waiting.get(key) ?? new Set();
      waiting.set(key, waiters.add(waiter));
      const leave = (): void => waiter.abort(signal.reason);
      signal.addEventListener("abort", leave, { once: true });
      if (signal.aborted) leave();
      try {
        await clock.sleep(mostMs, waiter.signal).catch(() => undefined);
        signal.throwIfAborted();
      } finally {
        signal.removeEventListener("abort", leave);
        waiters.delete(waiter);
        if (waiters.size === 0 && waiting.get(key) === waiters) waiting.delete(key);
      }
    },
  };
}

const TOLD = new Error("It was written");
