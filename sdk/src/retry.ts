import { ApiError, ConnectionError, TimeoutError } from "./errors.ts";

/** First delay; it doubles with each failure. */
const BASE_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;
/** Longest `Retry-After` that is followed. */
const MAX_RETRY_AFTER_MS = 60_000;

/** True for a fault that may pass: no answer, or 502, 503, 504. */
export function isTransient(error: unknown): boolean {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return true;
  if (!(error instanceof ApiError)) return false;
  // The first attempt with this key is still being worked on; a later one gets its answer.
  if (error.slug === "idempotency-in-use") return true;
  return error.status === 502 || error.status === 503 || error.status === 504;
}

/**
 * How long to wait before the next attempt: what the server asked for, else an exponential
 * delay of which half is random, so that many clients do not come back at the same moment.
 */
export function retryDelayMs(failures: number, error: unknown, random: number = Math.random()): number {
  if (error instanceof ApiError && error.retryAfterMs !== undefined) {
    return Math.min(error.retryAfterMs, MAX_RETRY_AFTER_MS);
  }
  const fullMs = Math.min(BASE_DELAY_MS * 2 ** failures, MAX_DELAY_MS);
  return fullMs / 2 + (fullMs / 2) * random;
}

/** `Retry-After` as milliseconds: whole seconds or an HTTP date; anything else is ignored. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
