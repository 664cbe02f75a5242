export type StoreErrorKind =
  /** There is no such object. */
  | "absent"
  /** The identity may not do this, or there is none. */
  | "denied"
  /** The object is not the one it was to be. */
  | "changed"
  /** The store gave no usable answer; a write may or may not have happened. */
  | "unavailable"
  /** There is no room. */
  | "full"
  /** The request or the configuration is wrong; it stays wrong. */
  | "invalid";

export interface StoreErrorOptions {
  readonly cause?: unknown;
  /** How long the store asked to be left alone. */
  readonly retryAfterMs?: number;
}

/** What a store refused or could not do: one sentence that names store and key, and no credentials. */
export class StoreError extends Error {
  readonly kind: StoreErrorKind;
  readonly retryAfterMs: number | undefined;

  constructor(kind: StoreErrorKind, message: string, options: StoreErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "StoreError";
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export function isStoreError(error: unknown, kind: StoreErrorKind): error is StoreError {
  return error instanceof StoreError && error.kind === kind;
}
