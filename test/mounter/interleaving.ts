import type { Clock } from "#core/clock.ts";
import type { ModelObjects, Step } from "./model-store.ts";

/** Many who use one model at once: one step of one of them at a time, in an order that a seed decides. */
export interface Interleaving {
  readonly clock: Clock;
  readonly random: (below: number) => number;
  /** Steps of one client; after `lastStep` nothing of it ever goes on, as if it had been killed. */
  client(lastStep?: number): { readonly step: Step; readonly killed: Promise<void> };
  /** Runs until all are done. */
  run(work: readonly Promise<unknown>[], check: () => void): Promise<void>;
}

const MOST_STEPS = 20_000;

export function createInterleaving(
  model: ModelObjects,
  seed: number,
  time: { readonly stepMs: number; readonly leapMs: number; readonly leapOneIn: number },
): Interleaving {
  let state = seed | 1;
  const random = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const gates: (() => void)[] = [];
  const sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();
  const pass = (ms: number): void => {
    model.nowMs += ms;
    for (const sleeper of sleepers) if (sleeper.atMs <= model.nowMs) sleeper.wake();
  };
  const clock: Clock = {
    now: () => model.nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { atMs: model.nowMs + ms, wake: () => end(resolve) };
        const end = (settle: () => void): void => {
          sleepers.delete(sleeper);
          settle();
        };
        signal?.addEventListener("abort", () => end(() => reject(signal.reason)), { once: true });
        sleepers.add(sleeper);
      }),
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    clock,
    random,
    client(lastStep = Number.POSITIVE_INFINITY) {
      const killed = Promise.withResolvers<void>();
      let steps = 0;
      const step: Step = () => {
        steps += 1;
        if (steps >= lastStep) killed.resolve();
        if (steps > lastStep) return new Promise<never>(() => undefined);
        return new Promise((resolve) => gates.push(resolve));
      };
      return { step, killed: killed.promise };
    },
    async run(work, check) {
      let isOver = false;
      const all = Promise.all(work).finally(() => (isOver = true));
      all.catch(() => undefined);
      for (let steps = 0; !isOver; steps += 1) {
        await settle();
        check();
        if (isOver) break;
        if (steps > MOST_STEPS) throw new Error("It does not come to an end");
        if (gates.length > 0) pass(random(time.leapOneIn) === 0 ? random(time.leapMs) : time.stepMs);
        else pass(Math.max(0, Math.min(...[...sleepers].map(({ atMs }) => atMs)) - model.nowMs));
        const [gate] = gates.splice(random(Math.max(gates.length, 1)), 1);
        gate?.();
      }
      await all;
    },
  };
}
