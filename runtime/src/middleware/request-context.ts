import type { MiddlewareHandler } from "hono";
import { ProblemError } from "#core/problem-error.ts";
import type { GatewayContext, GatewayDeps, GatewayEnv } from "../gateway.ts";

const REQUEST_ID = /^[\w.-]{1,128}$/;

/** Gives each request an id and a log that carries it, bounds its headers, and ends bodies that HEAD does not want. */
export function requestContext({ ids, log, config }: GatewayDeps): MiddlewareHandler<GatewayEnv> {
  return async (c, next) => {
    const given = c.req.header("x-request-id");
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : ids.commandId();
    c.set("requestId", requestId);
    c.set("log", () => log.child({ request_id: requestId }));
    if (config.maxHeaderBytes !== Infinity) checkHeaderSize(c, config.maxHeaderBytes);
    await next();
    if (c.req.raw.method === "HEAD") await c.res.body?.cancel();
  };
}

function checkHeaderSize(c: GatewayContext, maxBytes: number): void {
  let size = c.req.url.length;
  c.req.raw.headers.forEach((value, name) => {
    size += name.length + value.length + 4;
  });
  if (size <= maxBytes) return;
  throw new ProblemError(
    "headers-too-large",
    `The request's target and headers have ${size} bytes; at most ${maxBytes} are taken.`,
  );
}
