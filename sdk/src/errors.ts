import type { ProblemFault, ProblemSlug } from "./wire.ts";

/** Everything this package throws on purpose; an abort by the caller's signal rejects with the signal's own reason. */
export class AtollError extends Error {
  override readonly name: string = "AtollError";
}

/** What a refusal by the server carries. */
export interface Refusal {
  readonly status: number;
  readonly method: string;
  readonly path: string;
  /** Code of the problem, when the server is an Atoll gateway. */
  readonly slug?: ProblemSlug | (string & {}) | undefined;
  /** Faults found in the request, each with its place. */
  readonly errors?: readonly ProblemFault[] | undefined;
  /** First byte of an output stream that is still kept (status 410). */
  readonly firstByte?: number | undefined;
  /** How long the server asks to wait before a retry. */
  readonly retryAfterMs?: number | undefined;
}

/** The server answered with an error status. `message` is its own sentence. */
export class ApiError extends AtollError {
  override readonly name: string = "ApiError";
  readonly status: number;
  readonly method: string;
  readonly path: string;
  readonly slug: ProblemSlug | (string & {}) | undefined;
  readonly errors: readonly ProblemFault[];
  readonly firstByte: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, refusal: Refusal) {
    super(message);
    this.status = refusal.status;
    this.method = refusal.method;
    this.path = refusal.path;
    this.slug = refusal.slug;
    this.errors = refusal.errors ?? [];
    this.firstByte = refusal.firstByte;
    this.retryAfterMs = refusal.retryAfterMs;
  }

  /** The same as `status`. */
  get statusCode(): number {
    return this.status;
  }
}

/** 400: the request makes no sense to the server. */
export class BadRequestError extends ApiError {
  override readonly name = "BadRequestError";
}
/** 401: the API key is missing or wrong. */
export class UnauthorizedError extends ApiError {
  override readonly name = "UnauthorizedError";
}
/** 403: not allowed, for example a path that leaves the container. */
export class ForbiddenError extends ApiError {
  override readonly name = "ForbiddenError";
}
/** 404: no such sandbox, snapshot, command or file. */
export class NotFoundError extends ApiError {
  override readonly name = "NotFoundError";
}
/** 405: the server has this address, but not for this method. */
export class MethodNotAllowedError extends ApiError {
  override readonly name = "MethodNotAllowedError";
}
/** 409: the thing exists, but its present state does not allow the request. */
export class ConflictError extends ApiError {
  override readonly name: string = "ConflictError";
}
/** 410: bytes of an output stream that are no longer kept; `firstByte` names the first one that is. */
export class GoneError extends ApiError {
  override readonly name = "GoneError";
}
/** 413: the body is larger than the server takes. */
export class PayloadTooLargeError extends ApiError {
  override readonly name = "PayloadTooLargeError";
}
/** 415: the server does not take this kind of body. */
export class UnsupportedMediaTypeError extends ApiError {
  override readonly name = "UnsupportedMediaTypeError";
}
/** 422: a value of the request is not valid; `errors` has each fault. */
export class ValidationError extends ApiError {
  override readonly name = "ValidationError";
}
/** 429: too many requests, or no room for more. */
export class TooManyRequestsError extends ApiError {
  override readonly name = "TooManyRequestsError";
}
/** 431: the headers are larger than the server takes. */
export class HeadersTooLargeError extends ApiError {
  override readonly name = "HeadersTooLargeError";
}
/** 500: the server failed. */
export class InternalError extends ApiError {
  override readonly name = "InternalError";
}
/** 502: the server cannot reach the sandbox. */
export class BadGatewayError extends ApiError {
  override readonly name = "BadGatewayError";
}
/** 503: the server takes no work at the moment. */
export class UnavailableError extends ApiError {
  override readonly name = "UnavailableError";
}

/** Nobody saw the command end: its exit code, or the rest of its output, will never be known. */
export class OutcomeUnknownError extends ConflictError {
  override readonly name = "OutcomeUnknownError";
}

/** No answer arrived: the server was not reached, or the connection broke. */
export class ConnectionError extends AtollError {
  override readonly name = "ConnectionError";
}

/** A wait took longer than allowed. */
export class TimeoutError extends AtollError {
  override readonly name = "TimeoutError";
}

/** The server's answer does not follow the API. */
export class InvalidResponseError extends AtollError {
  override readonly name = "InvalidResponseError";
}

/** A command wrote more than `run()` was allowed to collect. */
export class OutputTooLargeError extends AtollError {
  override readonly name = "OutputTooLargeError";
}

/** The sandbox ended before it was ready; `reason` is the server's code for why. */
export class SandboxFailedError extends AtollError {
  override readonly name = "SandboxFailedError";
  readonly sandboxId: string;
  readonly reason: string | undefined;

  constructor(message: string, sandboxId: string, reason: string | undefined) {
    super(message);
    this.sandboxId = sandboxId;
    this.reason = reason;
  }
}

/** The snapshot was not taken; `reason` is the server's code for why. */
export class SnapshotFailedError extends AtollError {
  override readonly name = "SnapshotFailedError";
  readonly snapshotId: string;
  readonly reason: string | undefined;

  constructor(message: string, snapshotId: string, reason: string | undefined) {
    super(message);
    this.snapshotId = snapshotId;
    this.reason = reason;
  }
}

const BY_STATUS: Readonly<Record<number, new (message: string, refusal: Refusal) => ApiError>> = {
  400: BadRequestError,
  401: UnauthorizedError,
  403: ForbiddenError,
  404: NotFoundError,
  405: MethodNotAllowedError,
  409: ConflictError,
  410: GoneError,
  413: PayloadTooLargeError,
  415: UnsupportedMediaTypeError,
  422: ValidationError,
  429: TooManyRequestsError,
  431: HeadersTooLargeError,
  500: InternalError,
  502: BadGatewayError,
  503: UnavailableError,
};

/** The error class for a status; a status without one of its own is a plain ApiError. */
export function errorForRefusal(message: string, refusal: Refusal): ApiError {
  if (refusal.slug === "outcome-unknown") return new OutcomeUnknownError(message, refusal);
  return new (BY_STATUS[refusal.status] ?? ApiError)(message, refusal);
}
