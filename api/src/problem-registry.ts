interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

/**
 * Every problem that Atoll answers with. `type` on the wire is `urn:atoll:problem:<slug>`.
 * 502, 503 and 504 are retried by the released clients without a key, POST included, so a
 * failure after work has started never uses them.
 */
export const PROBLEMS = {
  "bad-request": { status: 400, title: "Bad request" },
  "bad-quantity": { status: 400, title: "Bad quantity" },
  "bad-path": { status: 400, title: "Bad path" },
  "not-a-file": { status: 400, title: "Not a regular file" },
  "container-required": { status: 400, title: "Container required" },
  "unknown-container": { status: 400, title: "Unknown container" },
  "bad-working-directory": { status: 400, title: "Bad working directory" },
  "bad-offset": { status: 400, title: "Bad stream offset" },
  unauthorized: { status: 401, title: "Unauthorized" },
  "forbidden-origin": { status: 403, title: "Forbidden origin" },
  "not-permitted": { status: 403, title: "Not permitted" },
  "path-escape": { status: 403, title: "Path leaves the container" },
  "not-found": { status: 404, title: "Not found" },
  "sandbox-not-found": { status: 404, title: "Sandbox not found" },
  "snapshot-not-found": { status: 404, title: "Snapshot not found" },
  "command-not-found": { status: 404, title: "Command not found" },
  "file-not-found": { status: 404, title: "File not found" },
  "method-not-allowed": { status: 405, title: "Method not allowed" },
  "sandbox-not-ready": { status: 409, title: "Sandbox not ready" },
  "sandbox-ended": { status: 409, title: "Sandbox has ended" },
  "sandbox-exists": { status: 409, title: "Sandbox exists" },
  "snapshot-in-use": { status: 409, title: "Snapshot in use" },
  conflict: { status: 409, title: "Conflict" },
  "command-ended": { status: 409, title: "Command has ended" },
  "stdin-closed": { status: 409, title: "Standard input closed" },
  "outcome-unknown": { status: 409, title: "Outcome unknown" },
  "container-ended": { status: 409, title: "Container has ended" },
  "idempotency-in-use": { status: 409, title: "Idempotency key in use" },
  "output-gone": { status: 410, title: "Output no longer kept" },
  "body-too-large": { status: 413, title: "Body too large" },
  "headers-too-large": { status: 431, title: "Headers too large" },
  "unsupported-media-type": { status: 415, title: "Unsupported media type" },
  "validation-failed": { status: 422, title: "Validation failed" },
  "blocked-cidr": { status: 422, title: "Blocked address range" },
  "idempotency-mismatch": { status: 422, title: "Idempotency key reused" },
  "not-supported": { status: 422, title: "Not supported" },
  "too-many-requests": { status: 429, title: "Too many requests" },
  "capacity-exhausted": { status: 429, title: "Capacity exhausted" },
  "disk-full": { status: 500, title: "Disk full" },
  "start-failed": { status: 500, title: "Start failed" },
  internal: { status: 500, title: "Internal error" },
  "agent-unreachable": { status: 502, title: "Sandbox agent unreachable" },
  unavailable: { status: 503, title: "Unavailable" },
} as const satisfies Record<string, ProblemKind>;

export type ProblemSlug = keyof typeof PROBLEMS;

/** The `type` member of a problem document. */
export function problemType(slug: ProblemSlug): string {
  return `urn:atoll:problem:${slug}`;
}

/** The slug in a problem's `type`, or undefined when the type is not one of ours. */
export function problemSlug(type: string): ProblemSlug | undefined {
  const slug = type.startsWith("urn:atoll:problem:") ? type.slice(18) : "";
  return slug in PROBLEMS ? (slug as ProblemSlug) : undefined;
}
