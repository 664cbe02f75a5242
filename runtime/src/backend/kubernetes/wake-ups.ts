/** Who wants to hear of a change, by the name of what changes. */
export interface WakeUps {
  /** The result ends the subscription. */
  on(name: string, listener: () => void): () => void;
  wake(name: string): void;
}

export function createWakeUps(): WakeUps {
  const all = new Map<string, Set<() => void>>();
  return {
    on(name, listener) {
      const listeners = all.get(name) ?? new Set();
      all.set(name, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && all.get(name) === listeners) all.delete(name);
      };
    },
    wake(name) {
      for (const listener of all.get(name) ?? []) listener();
    },
  };
}
