import type { KubeObject } from "./object.ts";
import { KubeError, UnsentError, type KubeErrorCause } from "./kube-error.ts";

const MAX_MESSAGE_LENGTH = 4096;

/** The API server's `Status`: its word on a failure, and on a removal. */
export interface KubeStatus {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly uid?: string;
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly (KubeErrorCause & { readonly reason?: string })[];
  };
}

/** An answer that is not a success, as the error to throw. */
export async function errorOfResponse(response: Response, what: string): Promise<KubeError> {
  const text = await response.text().catch(() => "");
  const status = statusOf(text);
  const header = response.headers.get("retry-after") ?? "";
  const fallback = `The API server answered ${response.status} to ${what}`;
  return errorOfStatus(status ?? {}, response.status, fallback, /^\d{1,6}$/.test(header) ? Number(header) : undefined);
}

/** A `Status` as the error to throw. */
export function errorOfStatus(
  { message, reason, details, code }: KubeStatus,
  httpStatus: number,
  fallback: string,
  retryAfterSeconds = details?.retryAfterSeconds,
): KubeError {
  return new KubeError(code ?? httpStatus, (message ?? fallback).slice(0, MAX_MESSAGE_LENGTH), {
    ...(reason === undefined ? {} : { reason }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    ...(details?.causes === undefined ? {} : { causes: details.causes }),
  });
}

function statusOf(text: string): KubeStatus | undefined {
  try {
    const body = JSON.parse(text) as KubeStatus | null;
    return body?.kind === "Status" ? body : undefined;
  } catch {
    // Proxies, and the API server's own outer layers, answer plain text.
    return undefined;
  }
}

/** The body of a success. */
export async function jsonOfResponse<T extends KubeObject | object>(response: Response, what: string): Promise<T> {
  const text = await response.text();
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new KubeError(0, `The API server's answer to ${what} is not JSON`, { reason: "BadAnswer", cause: error });
  }
}

/** Whatever a transport threw, as the error to throw. */
export function errorOfTransport(error: unknown, what: string): KubeError {
  if (error instanceof KubeError) return error;
  const reason = error instanceof UnsentError ? "Unsent" : "NoAnswer";
  const text = error instanceof Error ? error.message : String(error);
  return new KubeError(0, `The API server gave no answer to ${what}: ${text}`, { reason, cause: error });
}
