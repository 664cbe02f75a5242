import type { MounterFault } from "#api/mounter-channel.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import { backoffMs } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";

/** Why a snapshot was not stored: what decides whether it is tried again, and what people read meanwhile. */
export type StoringFault = Pick<MounterFault, "code" | "message">;

export interface Storing {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** When the record's time is over. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Undefined = no fault of the store. */
  readonly faultOf: (error: unknown) => StoringFault | undefined;
  readonly onProgress: (progress: SnapshotProgress) => void;
}

type Tell = (progress: SnapshotProgress) => void;

const PAUSE = { firstMs: 1000, mostMs: 15_000 };
const NO_ANSWER = "The store gives no answer, it is asked again until the snapshot's time is over";
/** So long before its time is over a snapshot fails by what it last met, not by the clock. */
const LAST_WORDS_MS = 2000;
/** The store gave no answer. All other faults stay what they are, however often the store is asked. */
const MAY_PASS: ReadonlySet<StoringFault["code"]> = new Set<StoringFault["code"]>(["unavailable", "unsure"]);

/**
 * Brings a snapshot into the store, and tries again while the store gives no answer and there is time;
 * then the last fault is thrown. `work` begins anew each time, and leaves nothing unknown behind when it
 * throws. What it was told by the store, with its progress or at its end, is told on until the store has
 * taken something.
 */
export async function untilStored<T>(work: (tell: Tell) => Promise<T>, storing: Storing): Promise<T> {
  const { clock, random, log, deadlineMs, signal, faultOf, onProgress } = storing;
  let met: string | undefined;
  const tell: Tell = ({ message, ...progress }) => {
    if (message !== undefined) met = message;
    else if (hasMoved(progress)) met = undefined;
    onProgress(met === undefined ? progress : { ...progress, message: `${NO_ANSWER}: ${met}` });
  };
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work(tell);
    } catch (error) {
      signal.throwIfAborted();
      const fault = faultOf(error);
      const pauseMs = backoffMs(attempt, PAUSE, random);
      if (fault === undefined || !MAY_PASS.has(fault.code)) throw error;
      if (clock.now() + pauseMs + LAST_WORDS_MS > deadlineMs) throw error;
      log.warn("The snapshot was not stored, trying again", { error });
      tell({ phase: "Uploading", bytesDone: 0, message: fault.message });
      await clock.sleep(pauseMs, signal);
    }
  }
}

/** The store has taken bytes of it. */
function hasMoved({ phase, bytesDone }: SnapshotProgress): boolean {
  return phase === "Verifying" || (phase === "Uploading" && bytesDone > 0);
}
