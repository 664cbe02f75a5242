import { createQuota, type GiveBack, type Quota } from "./quota.ts";

/** One at a time for each key, in order. */
export interface KeyedTurns {
  take(key: string, signal: AbortSignal): Promise<GiveBack>;
}

export function createKeyedTurns(): KeyedTurns {
  const turns = new Map<string, Quota>();
  return {
    async take(key, signal) {
      const quota = turns.get(key) ?? createQuota(1);
      turns.set(key, quota);
      const forget = (): void => {
        if (quota.taken === 0 && quota.waiting === 0 && turns.get(key) === quota) turns.delete(key);
      };
      try {
        const giveBack = await quota.take(1, signal);
        return () => {
          giveBack();
          forget();
        };
      } catch (error) {
        forget();
        throw error;
      }
    },
  };
}
