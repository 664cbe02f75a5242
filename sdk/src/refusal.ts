import { errorForRefusal, type ApiError } from "./errors.ts";
import { parseRetryAfter } from "./retry.ts";
import type { ProblemFault } from "./wire.ts";

const SLUG_PREFIX = "urn:atoll:problem:";
/** A problem document is cut here; what is left is not JSON then, and the status alone speaks. */
const MAX_PROBLEM_BYTES = 256 * 1024;

/** The error for an answer that is no success. Its body may be anything: it is read only as far as it helps. */
export async function readRefusal(
  request: { readonly method: string; readonly path: string },
  response: Response,
): Promise<ApiError> {
  const problem = asRecord(parseJson(await readStart(response)));
  const { type, detail, firstByte } = problem;
  const message =
    typeof detail === "string" && detail !== ""
      ? detail
      : `${request.method} ${request.path} was answered with status ${response.status}.`;
  return errorForRefusal(message, {
    status: response.status,
    method: request.method,
    path: request.path,
    slug: typeof type === "string" && type.startsWith(SLUG_PREFIX) ? type.slice(SLUG_PREFIX.length) : undefined,
    errors: faults(problem["errors"]),
    firstByte: typeof firstByte === "number" ? firstByte : undefined,
    retryAfterMs: parseRetryAfter(response.headers.get("retry-after"), Date.now()),
  });
}

async function readStart(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let text = "";
  for (let sizeBytes = 0; sizeBytes < MAX_PROBLEM_BYTES;) {
    const next = await reader.read();
    if (next.done) return text + decoder.decode();
    sizeBytes += next.value.length;
    text += decoder.decode(next.value, { stream: true });
  }
  await reader.cancel();
  return text;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function faults(value: unknown): ProblemFault[] {
  if (!Array.isArray(value)) return [];
  return value.map(asRecord).flatMap(({ message, location, value: found }) => {
    if (typeof message !== "string") return [];
    return [{ message, value: found, ...(typeof location === "string" ? { location } : {}) }];
  });
}
