import type { ProblemFault } from "#api/problem.ts";
import type { ProblemSlug } from "#api/problem-registry.ts";
import { KubeError, type KubeErrorCause } from "#core/kubernetes/kube-error.ts";
import { ProblemError } from "#core/problem-error.ts";

const MAX_DETAIL_CHARACTERS = 1000;

/** Refusals that keep their meaning. After each of them nothing was done. */
const REFUSALS: Readonly<Record<number, ProblemSlug>> = {
  400: "bad-request",
  // The gateway's own account is not accepted, or the cluster does not know sandboxes: no fault of the caller.
  401: "unavailable",
  403: "not-permitted",
  404: "unavailable",
  409: "conflict",
  413: "body-too-large",
  422: "validation-failed",
  429: "too-many-requests",
};

/** The account is not let do it, as opposed to a quota or a policy that refuses this very object. */
const UNAUTHORIZED = /^[^:]*\bis forbidden: User "[^"]*" cannot /;

/** True when a write may have happened although its answer is an error. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof KubeError && !(error.status in REFUSALS) && error.reason !== "Unsent";
}

/**
 * What the API server's refusal means to who asked the gateway. `mayRepeat`: doing it twice does no
 * harm, so that clients, who repeat a 503 by themselves, may be given one for an unknown outcome.
 */
export function problemOf(error: unknown, { mayRepeat }: { readonly mayRepeat: boolean }): unknown {
  if (!(error instanceof KubeError)) return error;
  const slug = refusalOf(error) ?? (mayRepeat || error.reason === "Unsent" ? "unavailable" : "internal");
  return new ProblemError(slug, detailOf(error, slug), {
    cause: error,
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
    ...(slug === "validation-failed" && error.causes.length > 0 ? { errors: error.causes.map(faultOf) } : {}),
  });
}

/** An API server that has just begun knows no roles yet, and refuses everybody for a moment. */
function refusalOf({ status, message }: KubeError): ProblemSlug | undefined {
  return status === 403 && UNAUTHORIZED.test(message) ? "unavailable" : REFUSALS[status];
}

function detailOf({ message, status }: KubeError, slug: ProblemSlug): string {
  if (slug === "unavailable") return `The cluster cannot be asked now${status === 0 ? "" : ` (${status})`}.`;
  if (slug === "internal") return "The cluster gave no answer, and it is not known whether it did what it was asked.";
  return oneLine(message);
}

function faultOf({ field, message = "", reason = "" }: KubeErrorCause): ProblemFault {
  return {
    message: oneLine(message === "" ? reason : message),
    ...(field === undefined ? {} : { location: locationOf(field) }),
  };
}

/** Where the caller wrote what the object has in this field. */
function locationOf(field: string): string {
  return `body.${field.replace(/^spec\./, "").replace(/^podTemplate\.spec\./, "podTemplate.")}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, " ").slice(0, MAX_DETAIL_CHARACTERS);
}
