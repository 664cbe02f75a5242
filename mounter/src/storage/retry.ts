import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import { STORE_REQUEST_MS } from "#core/snapshot/publish-times.ts";
import type { StoreCall } from "./port.ts";
import { StoreError } from "./store-error.ts";
import { untilAborted } from "./until-aborted.ts";

/** How long a store may take, and how often it is asked again. */
export interface Patience {
  /** Of one attempt, beside the time its bytes need. */
  readonly attemptMs: number;
  /** An attempt with bytes gets the time that they need at this rate. */
  readonly leastBytesPerSecond: number;
  /** No byte for so long is an end. */
  readonly stallMs: number;
  readonly attempts: number;
  readonly firstPauseMs: number;
  readonly mostPauseMs: number;
}

export const PATIENCE: Patience = {
  attemptMs: STORE_REQUEST_MS,
  leastBytesPerSecond: 65_536,
  stallMs: 30_000,
  attempts: 6,
  firstPauseMs: 200,
  mostPauseMs: 10_000,
};

export interface RetryPorts {
  readonly clock: Clock;
  readonly random: () => number;
  readonly patience: Patience;
}

/** A store that says nothing for so long, beside what its bytes need, is worth a word. */
const SILENT_MS = 3000;

export interface Attempt extends StoreCall {
  /** As the error of a deadline begins: "Cannot read a/b of s3://c". */
  readonly what: string;
  /** Bytes that an attempt moves. @default 0 */
  readonly sizeBytes?: number;
}

/** Does `work` until it succeeds, fails for good or was tried often enough. `number` counts from 0. */
export async function withRetries<T>(
  ports: RetryPorts,
  attempt: Attempt,
  work: (signal: AbortSignal, number: number) => Promise<T>,
): Promise<T> {
  for (let number = 0; ; number += 1) {
    try {
      return await once(ports, attempt, (signal) => work(signal, number));
    } catch (error) {
      await pauseAfter(error, number, ports, attempt);
    }
  }
}

/** Waits before the next attempt; throws the error when there is none. */
export async function pauseAfter(
  error: unknown,
  number: number,
  { clock, random, patience }: RetryPorts,
  { signal, onTrouble }: StoreCall,
): Promise<void> {
  signal.throwIfAborted();
  if (!(error instanceof StoreError) || error.kind !== "unavailable") throw error;
  if (number + 1 >= patience.attempts) throw error;
  onTrouble?.(error);
  const wishMs = Math.min(error.retryAfterMs ?? 0, patience.mostPauseMs);
  const pause = { firstMs: patience.firstPauseMs, mostMs: patience.mostPauseMs };
  await clock.sleep(wishMs + backoffMs(number, pause, random), signal);
}

/** One attempt, within its time. */
export async function once<T>(
  { clock, patience }: RetryPorts,
  { what, signal, sizeBytes = 0, onTrouble }: Attempt,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeoutMs = allowedMs(patience, sizeBytes);
  const noAnswer = (ms: number): StoreError =>
    new StoreError("unavailable", `${what}: no answer within ${seconds(ms)} s.`);
  const over = new AbortController();
  const silentMs = allowedMs({ ...patience, attemptMs: SILENT_MS }, sizeBytes);
  if (onTrouble !== undefined)
    void clock.sleep(silentMs, over.signal).then(
      () => onTrouble(noAnswer(silentMs)),
      () => undefined,
    );
  const deadline = { clock, signal, timeoutMs, late: () => noAnswer(timeoutMs) };
  try {
    return await withDeadline(deadline, (limited) => untilAborted(work(limited), limited));
  } finally {
    over.abort(ATTEMPT_IS_OVER);
  }
}

const ATTEMPT_IS_OVER = "the attempt is over";

/** Time for an attempt that moves so many bytes. */
export function allowedMs({ attemptMs, leastBytesPerSecond }: Patience, sizeBytes: number): number {
  return attemptMs + (sizeBytes / leastBytesPerSecond) * 1000;
}

export function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
