import type { SandboxRootfsRestore } from "#api/crd/sandbox.ts";
import { backoffMs } from "#core/backoff.ts";
import { createChange } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";

/** Says in a sandbox's status how far its restores are. */
export interface RestoreTeller {
  /** What is not urgent is written a little later, with what has come of it by then. */
  tell(restore: SandboxRootfsRestore, isUrgent: boolean): void;
  /** Resolves when all that was told has been written. */
  written(signal: AbortSignal): Promise<void>;
  /** Writes until the signal fires. */
  run(signal: AbortSignal): Promise<void>;
}

export interface RestoreTellerOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** False = there is nobody to tell any more. */
  readonly write: (restores: readonly SandboxRootfsRestore[], signal: AbortSignal) => Promise<boolean>;
  readonly failed: (error: unknown) => void;
}

const PAUSE_MS = 2000;
const RETRY = { firstMs: 200, mostMs: 5000 };

export function createRestoreTeller({ clock, random, write, failed }: RestoreTellerOptions): RestoreTeller {
  const restores = new Map<string, SandboxRootfsRestore>();
  const told = createChange();
  const changed = createChange();
  /** Counts what was told, and up to where it is written. */
  let [count, writtenCount] = [0, 0];
  let isUrgentNow = false;

  const untilUrgent = async (signal: AbortSignal): Promise<void> => {
    const over = new AbortController();
    const stop = (): void => over.abort(IS_OVER);
    signal.addEventListener("abort", stop, { once: true });
    const slept = clock.sleep(PAUSE_MS, over.signal).then(
      () => true,
      () => true,
    );
    for (let isOver = false; !isUrgentNow && !isOver;)
      isOver = await Promise.race([
        slept,
        changed.wait(over.signal).then(
          () => false,
          () => true,
        ),
      ]);
    signal.removeEventListener("abort", stop);
    over.abort(IS_OVER);
  };

  const send = async (signal: AbortSignal): Promise<void> => {
    for (let round = 0; ; round += 1) {
      const upTo = count;
      isUrgentNow = false;
      try {
        if (!(await write([...restores.values()], signal))) return;
        writtenCount = upTo;
        told.notify();
        return;
      } catch (error) {
        signal.throwIfAborted();
        failed(error);
        await clock.sleep(backoffMs(round, RETRY, random), signal);
      }
    }
  };

  return {
    tell(restore, isUrgent) {
      restores.set(restore.containerName, restore);
      count += 1;
      isUrgentNow ||= isUrgent;
      changed.notify();
    },
    async written(signal) {
      const upTo = count;
      while (writtenCount < upTo) await told.wait(signal);
    },
    async run(signal) {
      while (!signal.aborted) {
        try {
          if (writtenCount === count) await changed.wait(signal);
          if (!isUrgentNow) await untilUrgent(signal);
          signal.throwIfAborted();
          await send(signal);
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      }
    },
  };
}

const IS_OVER = new Error("The wait is over");
