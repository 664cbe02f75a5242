/** Work that several callers wait for; it is aborted when the last one has left. */
export interface Flight<T, P> {
  /** False once the work has ended or was aborted: a newcomer starts his own, after `ended`. */
  readonly isLive: boolean;
  /** Resolves when the work has come to rest, well or badly. */
  readonly ended: Promise<void>;
  /** The work's outcome, or the signal's reason when that comes first. */
  join(signal: AbortSignal, onProgress?: (progress: P) => void): Promise<T>;
}

export function createFlight<T, P>(
  work: (signal: AbortSignal, onProgress: (progress: P) => void) => Promise<T>,
): Flight<T, P> {
  const abort = new AbortController();
  const listeners = new Map<symbol, ((progress: P) => void) | undefined>();
  let isLive = true;
  const tell = (progress: P): void => listeners.forEach((listener) => listener?.(progress));
  // Begins in the next microtask, so that the first waiter hears the first progress.
  const result = Promise.resolve().then(() => work(abort.signal, tell));
  const end = (): void => void (isLive = false);
  const ended = result.then(end, end);
  return {
    get isLive() {
      return isLive;
    },
    ended,
    async join(signal, onProgress) {
      const me = Symbol("waiter");
      listeners.set(me, onProgress);
      const left = Promise.withResolvers<never>();
      const onAbort = (): void => left.reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      try {
        return await Promise.race([result, left.promise]);
      } finally {
        signal.removeEventListener("abort", onAbort);
        listeners.delete(me);
        if (listeners.size === 0 && isLive) {
          isLive = false;
          abort.abort(new Error("Nobody waits for it any more"));
        }
      }
    },
  };
}
