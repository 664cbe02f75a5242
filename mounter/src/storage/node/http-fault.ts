import { StoreError, type StoreErrorKind } from "../store-error.ts";

/** What is known of a failed request, free of anything secret. */
export interface HttpFault {
  /** HTTP status; absent = there was no answer. */
  readonly status?: number | undefined;
  /** The store's or the system's own word for it, such as `NoSuchKey` or `ECONNRESET`. */
  readonly code?: string | undefined;
  /** Seconds or a date, as the header says it. */
  readonly retryAfter?: string | undefined;
}

/** Codes that mean something else than their status says. */
const KINDS: readonly (readonly [RegExp, StoreErrorKind])[] = [
  [/quota|StorageFull|InsufficientStorage|NoSpace|CapacityExceeded|AccountLimitExceeded/i, "full"],
  [
    /^(RequestTimeout|RequestTimeTooSkewed|SlowDown|OperationAborted|ConditionalRequestConflict|ServerBusy|OperationTimedOut)$/,
    "unavailable",
  ],
  // Bytes that changed on their way are sent again.
  [
    /^(BadDigest|InvalidDigest|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch|Md5Mismatch|IncompleteBody)$/,
    "unavailable",
  ],
  [
    /^(ExpiredToken|TokenRefreshRequired|InvalidAccessKeyId|SignatureDoesNotMatch|CredentialsProviderError|CredentialUnavailableError|AggregateAuthenticationError|AuthenticationError|AuthenticationFailed|XAdminUserNotFound)$/,
    "denied",
  ],
  [
    /^(NoSuchBucket|ContainerNotFound|BucketNotFound|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS|InvalidBucketName)/,
    "invalid",
  ],
  // Servers that keep objects as files.
  [/^(ObjectParentIsFile|ExistingObjectIsDirectory)$/, "invalid"],
  [/^(InvalidBlockList|BlobAlreadyExists)$/, "changed"],
];

const STATUSES: Readonly<Record<number, StoreErrorKind>> = {
  401: "denied",
  403: "denied",
  404: "absent",
  408: "unavailable",
  409: "unavailable",
  410: "absent",
  412: "changed",
  425: "unavailable",
  429: "unavailable",
  501: "invalid",
  507: "full",
};

const WORDS: Readonly<Record<StoreErrorKind, string>> = {
  absent: "it is not there",
  denied: "the store denies access; check the credentials and what they may do",
  changed: "it is not the object it was to be; read it anew",
  unavailable: "the store did not answer as it should",
  full: "the store has no more room; free some or raise its quota",
  invalid: "the store refuses the request; check its URL and settings",
};

export function kindOfFault({ status, code = "" }: HttpFault): StoreErrorKind {
  const known = KINDS.find(([pattern]) => pattern.test(code));
  if (known !== undefined) return known[1];
  if (status === undefined || status < 400) return "unavailable";
  return STATUSES[status] ?? (status >= 500 ? "unavailable" : "invalid");
}

/** One sentence about a failed request. Foreign texts and errors stay out of it: they may quote credentials. */
export function storeFault(what: string, fault: HttpFault): StoreError {
  const kind = kindOfFault(fault);
  const facts = [fault.code, fault.status].filter((fact) => fact !== undefined && fact !== "").join(", ");
  const retryAfterMs = readRetryAfter(fault.retryAfter);
  const message = `${what}: ${WORDS[kind]}${facts === "" ? "" : ` (${facts})`}.`;
  return new StoreError(kind, message, retryAfterMs === undefined ? {} : { retryAfterMs });
}

/** What a library throws because it is called wrongly is no fault of the store. */
export function isOwnFault(error: unknown): boolean {
  return (error instanceof TypeError || error instanceof RangeError) && codeOf(error) === undefined;
}

/** The system's word for a failed connection, wherever libraries put it. */
export function codeOf(error: unknown): string | undefined {
  for (let each: unknown = error, depth = 0; each instanceof Error && depth < 5; each = each.cause, depth += 1) {
    const { code } = each as { code?: unknown };
    if (typeof code === "string" && /^[A-Za-z][\w.-]{0,99}$/.test(code)) return code;
  }
  return undefined;
}

/** Only seconds: a date would need the store's clock. */
function readRetryAfter(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,4}$/.test(text) ? Number(text) * 1000 : undefined;
}

/** A body whose failures are those of the store. */
export async function* faultyBody(
  body: AsyncIterable<Uint8Array>,
  translate: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body;
  } catch (error) {
    throw translate(error);
  }
}
