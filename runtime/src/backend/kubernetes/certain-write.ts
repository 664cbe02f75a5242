import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import { isOutcomeUnknown, problemOf } from "./problem-of.ts";

/** Shorter than a client's patience with one request. */
const MOST_MS = 20_000;
const PAUSE_MS = 500;
/** What the same request is answered every time: whatever came of an earlier attempt, it was refused. */
const LASTING = new Set([400, 413, 422]);

export interface CertainWrite<T> {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** True when a client may make the whole request again, whatever became of this one. */
  readonly mayRepeat: boolean;
  /** Makes the write so that a repeat finds out what an earlier attempt did. */
  readonly act: (signal: AbortSignal) => Promise<T>;
}

/**
 * Makes a write until it is known what became of it. Throws what the caller is to be told: where
 * it stays unknown, never a fault that clients repeat by themselves, unless they may.
 */
export async function writeCertainly<T>({ clock, signal, mayRepeat, act }: CertainWrite<T>): Promise<T> {
  let isUnknown = false;
  const late = (): KubeError => new KubeError(0, "The API server did not answer in time", { reason: "Timeout" });
  try {
    return await withDeadline({ clock, timeoutMs: MOST_MS, signal, late }, async (bounded) => {
      for (;;) {
        try {
          return await act(bounded);
        } catch (error) {
          if (!isOutcomeUnknown(error)) throw error;
          isUnknown = true;
        }
        await clock.sleep(PAUSE_MS, bounded);
      }
    });
  } catch (error) {
    const isOpen = isUnknown && error instanceof KubeError && !LASTING.has(error.status);
    const told = isOpen ? new KubeError(0, error.message, { reason: "NoAnswer", cause: error }) : error;
    throw problemOf(told, { mayRepeat });
  }
}
