import type { ErrorHandler, NotFoundHandler } from "hono";
import type { ProblemSlug } from "#api/problem.ts";
import { asProblemError, ProblemError } from "#core/problem-error.ts";
import type { GatewayContext, GatewayEnv } from "../gateway.ts";

/** Nobody reads the answer to a caller that has gone; the number is the customary one for the log. */
const CALLER_GONE = 499;

/** Any fault as a problem document, logged here and only here. */
export const onError: ErrorHandler<GatewayEnv> = (error, c) => {
  if (c.req.raw.signal.aborted && !(error instanceof ProblemError)) {
    c.get("log").debug("caller went away");
    return new Response(null, { status: CALLER_GONE });
  }
  const problem = asProblemError(error);
  const fields = { method: c.req.method, path: c.req.path, status: problem.status, problem: problem.slug, detail: problem.message };
  if (problem.status < 500) c.get("log").info("request refused", fields);
  else c.get("log").error("request failed", { ...fields, cause: problem.options.cause });
  return problemResponse(c, problem);
};

/** Answers for a path without a route, or a path without this method. */
export function createNotFound(allowedMethods: (path: string) => readonly string[]): NotFoundHandler<GatewayEnv> {
  return (c) => {
    const allowed = allowedMethods(c.req.path);
    if (allowed.length === 0) return onError(new ProblemError("not-found", `There is no route ${c.req.method} ${c.req.path}.`), c);
    c.header("Allow", allowed.join(", "));
    const detail = `The method ${c.req.method} is not allowed here; allowed are ${allowed.join(", ")}.`;
    return onError(new ProblemError("method-not-allowed" satisfies ProblemSlug, detail), c);
  };
}

function problemResponse(c: GatewayContext, problem: ProblemError): Response {
  const { retryAfterSeconds } = problem.options;
  if (retryAfterSeconds !== undefined) c.header("Retry-After", `${retryAfterSeconds}`);
  if (problem.slug === "unauthorized") c.header("WWW-Authenticate", 'Bearer realm="atoll"');
  c.header("Content-Type", "application/problem+json");
  c.header("Cache-Control", "no-store");
  const instance = `urn:atoll:request:${c.get("requestId")}`;
  return c.body(JSON.stringify(problem.toProblem(instance)), problem.status as 500);
}
