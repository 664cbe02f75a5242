/** What is followed, and how one hears of it. */
export interface Followed<T> {
  /** Its present state; undefined when it is gone. */
  look(): T | undefined;
  /** Calls the listener after each change, spurious ones included; the result ends that. */
  onWake(listener: () => void): () => void;
  /** Whether nobody who follows it could tell the two apart. */
  isSame(a: T, b: T): boolean;
}

/** The present state first, then the latest after each change, until it is gone or the signal aborts. */
export async function* followState<T>({ look, onWake, isSame }: Followed<T>, signal: AbortSignal): AsyncGenerator<T> {
  let wake = Promise.withResolvers<void>();
  const stop = onWake(() => wake.resolve());
  const onAbort = (): void => wake.resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    let state = look();
    while (state !== undefined && !signal.aborted) {
      yield state;
      const seen: T = state;
      while (!signal.aborted && (state = look()) !== undefined && isSame(state, seen)) {
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    }
  } finally {
    stop();
    signal.removeEventListener("abort", onAbort);
  }
}
