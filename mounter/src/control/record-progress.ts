import type { SnapshotProgress } from "#api/snapshot.ts";
import type { Clock } from "#core/clock.ts";

/** Time between two words on the progress of one job. */
const PAUSE_MS = 2000;

/** Says how far a job is: a new phase as soon as it may, then the newest number now and then. */
export interface ProgressTeller {
  tell(progress: SnapshotProgress): void;
  /** Resolves when no word is on its way any more; nothing is told from then on. */
  end(): Promise<void>;
}

export function createProgressTeller(
  clock: Clock,
  write: (progress: SnapshotProgress) => Promise<void>,
): ProgressTeller {
  const over = new AbortController();
  let next: SnapshotProgress | undefined;
  let running: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    while (next !== undefined && !over.signal.aborted) {
      const now = next;
      next = undefined;
      await write(now);
      await clock.sleep(PAUSE_MS, over.signal).catch(() => undefined);
    }
    running = undefined;
  };
  return {
    tell(progress) {
      if (over.signal.aborted) return;
      next = progress;
      running ??= run();
    },
    async end() {
      over.abort(IS_OVER);
      await running;
    },
  };
}

const IS_OVER = new Error("The job is over");
