/** One fault of a refused object, as the API server names it. */
export interface KubeErrorCause {
  readonly reason?: string;
  readonly message?: string;
  /** Path of the field, such as `spec.timeoutSeconds`. */
  readonly field?: string;
}

export interface KubeErrorOptions {
  readonly reason?: string;
  readonly retryAfterSeconds?: number;
  readonly causes?: readonly KubeErrorCause[];
  readonly cause?: unknown;
}

/**
 * What the API server refused, or that it gave no usable answer: then `status` is 0 and a write
 * may or may not have happened.
 */
export class KubeError extends Error {
  /** HTTP status; 0 = no answer. */
  readonly status: number;
  /** The API server's CamelCase reason, such as `AlreadyExists`; for no answer `NoAnswer`, `Timeout`, `Unsent` or `BadAnswer`. */
  readonly reason: string;
  readonly retryAfterSeconds: number | undefined;
  readonly causes: readonly KubeErrorCause[];

  constructor(status: number, message: string, options: KubeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "KubeError";
    this.status = status;
    this.reason = options.reason ?? "";
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.causes = options.causes ?? [];
  }
}

/** A transport's word that no byte of a request left: doing it again is safe. */
export class UnsentError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "UnsentError";
  }
}

export function isKubeError(error: unknown, status: number, reason?: string): error is KubeError {
  return error instanceof KubeError && error.status === status && (reason === undefined || error.reason === reason);
}

/** No such object. */
export function isNotFound(error: unknown): error is KubeError {
  return isKubeError(error, 404);
}

/** An object of this name is there already. */
export function isAlreadyExists(error: unknown): error is KubeError {
  return isKubeError(error, 409, "AlreadyExists");
}

/** Somebody else was faster: read again and decide anew. */
export function isConflict(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 409 && error.reason !== "AlreadyExists";
}

/** The version a list or watch asked for is no longer kept. */
export function isGone(error: unknown): error is KubeError {
  return isKubeError(error, 410);
}
