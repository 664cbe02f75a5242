/** Lets at most `width` holders in at once; the others wait in order. */
export interface Turnstile {
  /** Resolves with the function that leaves; rejects with the signal's reason. */
  enter(signal: AbortSignal): Promise<() => void>;
  /** The same where nobody has to wait; undefined elsewhere. */
  tryEnter(): (() => void) | undefined;
}

export function createTurnstile(width: number): Turnstile {
  const waiting: (() => void)[] = [];
  let inside = 0;
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) inside -= 1;
    else next();
  };
  const tryEnter = (): (() => void) | undefined => {
    if (inside >= width) return undefined;
    inside += 1;
    return once(leave);
  };
  return {
    tryEnter,
    async enter(signal) {
      signal.throwIfAborted();
      const free = tryEnter();
      if (free !== undefined) return free;
      const turn = Promise.withResolvers<void>();
      const onAbort = (): void => {
        const index = waiting.indexOf(turn.resolve);
        if (index < 0) return;
        waiting.splice(index, 1);
        turn.reject(signal.reason);
      };
      waiting.push(turn.resolve);
      signal.addEventListener("abort", onAbort, { once: true });
      await turn.promise.finally(() => signal.removeEventListener("abort", onAbort));
      return once(leave);
    },
  };
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}
