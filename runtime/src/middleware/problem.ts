import type { ErrorHandler, NotFoundHandler } from "hono";
import { asProblemError, ProblemError } from "#core/problem-error.ts";
import { answer } from "../answer.ts";
import type { GatewayContext, GatewayEnv } from "../gateway.ts";

/** Nobody reads the answer to a caller that has gone; the number is the customary one for the log. */
const CALLER_GONE = 499;

/** Any fault as a problem document, logged here and only here. */
export const onError: ErrorHandler<GatewayEnv> = (error, c) => {
  if (c.req.raw.signal.aborted && !(error instanceof ProblemError)) {
    c.get("log")().debug("caller went away");
    return new Response(null, { status: CALLER_GONE });
  }
  return problemResponse(c, logged(error, c));
};

function logged(error: unknown, c: GatewayContext): ProblemError {
  const problem = asProblemError(error);
  const fields = {
    method: c.req.method,
    path: c.req.path,
    status: problem.status,
    problem: problem.slug,
    detail: problem.message,
  };
  if (problem.status < 500) c.get("log")().info("request refused", fields);
  else c.get("log")().error("request failed", { ...fields, cause: problem.options.cause });
  return problem;
}

/** Answers for a path without a route, or a path without this method. */
export function createNotFound(allowedMethods: (path: string) => readonly string[]): NotFoundHandler<GatewayEnv> {
  return (c) => {
    const allowed = allowedMethods(c.req.path);
    if (allowed.length === 0)
      return onError(new ProblemError("not-found", `There is no route ${c.req.method} ${c.req.path}.`), c);
    const detail = `The method ${c.req.method} is not allowed here; allowed are ${allowed.join(", ")}.`;
    const answered = logged(new ProblemError("method-not-allowed", detail), c);
    return problemResponse(c, answered, { Allow: allowed.join(", ") });
  };
}

function problemResponse(
  c: GatewayContext,
  problem: ProblemError,
  extra: Readonly<Record<string, string>> = {},
): Response {
  const { retryAfterSeconds } = problem.options;
  const instance = `urn:atoll:request:${c.get("requestId")}`;
  return answer(c, problem.status, JSON.stringify(problem.toProblem(instance)), {
    "Content-Type": "application/problem+json",
    "Cache-Control": "no-store",
    ...(retryAfterSeconds === undefined ? {} : { "Retry-After": `${retryAfterSeconds}` }),
    ...(problem.slug === "unauthorized" ? { "WWW-Authenticate": 'Bearer realm="atoll"' } : {}),
    ...extra,
  });
}
