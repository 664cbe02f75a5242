import type { Clock } from "#core/clock.ts";

/** Time that moves only when a test says so; what sleeps wakes in order, each at its own moment. */
export interface ManualClock extends Clock {
  advance(ms: number): Promise<void>;
  /** Lets everything run that waits for no time. */
  settle(): Promise<void>;
  /** Moves from one sleeper to the next until the work is done; fails when nothing sleeps and nothing happens. */
  runUntil<T>(work: Promise<T>): Promise<T>;
}

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Turns of the event loop in which what is under way comes to rest. */
const TURNS = 3;
const IDLE_TURNS = 200;

export function createManualClock(startMs = 1_700_000_000_000): ManualClock {
  let nowMs = startMs;
  const sleepers = new Set<Sleeper>();

  const next = (): Sleeper | undefined => {
    let soonest: Sleeper | undefined;
    for (const sleeper of sleepers) if (soonest === undefined || sleeper.atMs < soonest.atMs) soonest = sleeper;
    return soonest;
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < TURNS; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  const wakeNext = async (untilMs: number): Promise<boolean> => {
    const sleeper = next();
    if (sleeper === undefined || sleeper.atMs > untilMs) return false;
    nowMs = Math.max(nowMs, sleeper.atMs);
    sleepers.delete(sleeper);
    sleeper.wake();
    await settle();
    return true;
  };

  return {
    now: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        const wake = (): void => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        };
        const sleeper = { atMs: nowMs + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
    settle,
    async advance(ms) {
      const untilMs = nowMs + ms;
      await settle();
      while (await wakeNext(untilMs));
      nowMs = untilMs;
    },
    async runUntil(work) {
      let isOver = false;
      const finish = (): void => void (isOver = true);
      work.then(finish, finish);
      for (let idle = 0; !isOver;) {
        await settle();
        if (isOver || (await wakeNext(Number.POSITIVE_INFINITY))) idle = 0;
        else if ((idle += 1) > IDLE_TURNS) throw new Error("Nothing sleeps and the work is not done");
      }
      return work;
    },
  };
}
