import { backoffMs } from "../backoff.ts";
import { KubeError } from "./kube-error.ts";

const MOST_ATTEMPTS = 5;
const PAUSE = { firstMs: 100, mostMs: 5000 };
const LONGEST_WISH_MS = 10_000;
/** What the API server and proxies before it say while they are overloaded or restarting. */
const PASSING: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/**
 * Pause before a failed request is made again; undefined = not again. Reads are repeated after any
 * passing fault. Writes only where they cannot have happened: refused by the API server's flow
 * control before it looked at them (429), or never sent.
 */
export function retryPauseMs(
  error: unknown,
  attempt: number,
  isRead: boolean,
  random: () => number,
): number | undefined {
  if (!(error instanceof KubeError) || attempt + 1 >= MOST_ATTEMPTS) return undefined;
  const isUndone = error.status === 429 || error.reason === "Unsent";
  const isPassing = PASSING.has(error.status) || error.reason === "NoAnswer";
  if (!isUndone && !(isRead && isPassing)) return undefined;
  const wishMs = (error.retryAfterSeconds ?? 0) * 1000;
  if (wishMs > LONGEST_WISH_MS) return undefined;
  return Math.max(wishMs, 0) + backoffMs(attempt, PAUSE, random);
}
