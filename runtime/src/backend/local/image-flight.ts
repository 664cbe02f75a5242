/** Work that several callers wait for; it is aborted when the last one has left. */
export interface Flight<T, P> {
  /** False once the work has ended or was aborted: a newcomer starts its own. */
  readonly live: boolean;
  /** Waits for the work's end, or rejects with the signal's reason and leaves. */
  join(signal: AbortSignal, onProgress: (progress: P) => void): Promise<T>;
  /** Resolves when the work has ended, well or badly. */
  readonly ended: Promise<void>;
}

/** Starts the work; `work` tells its progress to everybody who waits. */
export function createFlight<T, P>(
  work: (signal: AbortSignal, onProgress: (progress: P) => void) => Promise<T>,
): Flight<T, P> {
  const abort = new AbortController();
  const listeners = new Set<(progress: P) => void>();
  let live = true;
  // Begins in the next microtask, so that the first waiter hears the first progress.
  const result = Promise.resolve().then(() =>
    work(abort.signal, (progress) => listeners.forEach((listener) => listener(progress))),
  );
  const end = (): void => void (live = false);
  const ended = result.then(end, end);
  return {
    get live() {
      return live;
    },
    ended,
    async join(signal, onProgress) {
      const listener = (progress: P): void => onProgress(progress);
      listeners.add(listener);
      const left = Promise.withResolvers<never>();
      const onAbort = (): void => left.reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      try {
        return await Promise.race([result, left.promise]);
      } finally {
        signal.removeEventListener("abort", onAbort);
        listeners.delete(listener);
        if (listeners.size === 0 && live) {
          live = false;
          abort.abort(signal.reason);
        }
      }
    },
  };
}
