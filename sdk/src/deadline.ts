import { TimeoutError } from "./errors.ts";
import type { CallOptions } from "./options.ts";

/** An abort controller that also follows another signal until it is closed. */
export interface Scope {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  /** Stops following; needed, because a long-lived signal would otherwise collect listeners. */
  close(): void;
}

export function openScope(parent?: AbortSignal): Scope {
  const controller = new AbortController();
  const follow = (): void => controller.abort(parent?.reason);
  if (parent?.aborted) follow();
  else parent?.addEventListener("abort", follow, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    close: () => parent?.removeEventListener("abort", follow),
  };
}

/** Runs work under the caller's signal and time limit; `what` completes the sentence of the TimeoutError. */
export async function withDeadline<T>(
  call: CallOptions,
  what: string,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const { signal, timeoutMs } = call;
  signal?.throwIfAborted();
  if (timeoutMs === undefined || timeoutMs === Infinity) return work(signal);
  const scope = openScope(signal);
  const expire = (): void => scope.abort(new TimeoutError(`${what} took longer than ${timeoutMs} ms.`));
  const timer = setTimeout(expire, Math.min(timeoutMs, MAX_TIMER_MS));
  try {
    return await work(scope.signal);
  } finally {
    clearTimeout(timer);
    scope.close();
  }
}

/** Resolves after the time, or rejects with the signal's reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Settles like the promise, or rejects with the signal's reason as soon as it aborts; the promise goes on. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Longest delay a timer of the platform takes without overflow. */
export const MAX_TIMER_MS = 2_147_483_647;
