import type { ErrorHandler, NotFoundHandler } from "hono";
import { getPath } from "hono/utils/url";
import { asProblemError, ProblemError } from "#core/problem-error.ts";
import { answer } from "../answer.ts";
import type { GatewayEnv, RequestContext } from "../gateway.ts";

/** Nobody reads the answer to a caller that has gone; the number is the customary one for the log. */
const CALLER_GONE = 499;

/** Any fault behind the front door as a problem document. */
export const onError: ErrorHandler<GatewayEnv> = (error, c) => refuse(error, c.env);

/** Any fault as a problem document, logged here and only here. */
export function refuse(error: unknown, context: RequestContext): Response {
  if (!(error instanceof ProblemError) && context.signal.aborted) {
    context.log.debug("caller went away");
    return new Response(null, { status: CALLER_GONE });
  }
  return problemResponse(context, logged(error, context));
}

function logged(error: unknown, { log, request }: RequestContext): ProblemError {
  const problem = asProblemError(error);
  const fields = {
    method: request.method,
    path: getPath(request),
    status: problem.status,
    problem: problem.slug,
    detail: problem.message,
  };
  if (problem.status < 500) log.info("request refused", fields);
  else log.error("request failed", { ...fields, cause: problem.options.cause });
  return problem;
}

/** Answers for a path without a route, or a path without this method. */
export function createNotFound(allowedMethods: (path: string) => readonly string[]): NotFoundHandler<GatewayEnv> {
  return ({ env, req }) => {
    const allowed = allowedMethods(req.path);
    if (allowed.length === 0)
      return refuse(new ProblemError("not-found", `There is no route ${req.method} ${req.path}.`), env);
    const detail = `The method ${req.method} is not allowed here; allowed are ${allowed.join(", ")}.`;
    const answered = logged(new ProblemError("method-not-allowed", detail), env);
    return problemResponse(env, answered, { Allow: allowed.join(", ") });
  };
}

function problemResponse(
  env: RequestContext,
  problem: ProblemError,
  extra: Readonly<Record<string, string>> = {},
): Response {
  const { retryAfterSeconds } = problem.options;
  const instance = `urn:atoll:request:${env.requestId}`;
  return answer({ env }, problem.status, JSON.stringify(problem.toProblem(instance)), {
    "Content-Type": "application/problem+json",
    "Cache-Control": "no-store",
    ...(retryAfterSeconds === undefined ? {} : { "Retry-After": `${retryAfterSeconds}` }),
    ...(problem.slug === "unauthorized" ? { "WWW-Authenticate": 'Bearer realm="atoll"' } : {}),
    ...extra,
  });
}
