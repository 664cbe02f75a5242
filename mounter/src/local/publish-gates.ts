/** Writes that wait for the word that lets them put their manifest into the store. */
export interface PublishGates {
  /** Resolves with the last moment at which the manifest may be sent; rejects with the signal's reason. */
  wait(writeId: string, signal: AbortSignal): Promise<number>;
  /** False when no write of this id waits. */
  open(writeId: string, untilMs: number): boolean;
}

export function createPublishGates(): PublishGates {
  const waiting = new Map<string, (untilMs: number) => void>();
  return {
    async wait(writeId, signal) {
      signal.throwIfAborted();
      if (waiting.has(writeId)) throw new Error(`The write "${writeId}" waits already`);
      const turn = Promise.withResolvers<number>();
      const leave = (): void => turn.reject(signal.reason);
      waiting.set(writeId, turn.resolve);
      signal.addEventListener("abort", leave, { once: true });
      try {
        return await turn.promise;
      } finally {
        waiting.delete(writeId);
        signal.removeEventListener("abort", leave);
      }
    },
    open(writeId, untilMs) {
      const go = waiting.get(writeId);
      waiting.delete(writeId);
      go?.(untilMs);
      return go !== undefined;
    },
  };
}
