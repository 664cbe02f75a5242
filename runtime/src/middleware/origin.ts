import type { MiddlewareHandler } from "hono";
import { ProblemError } from "#core/problem-error.ts";
import type { GatewayEnv } from "../gateway.ts";

const LOOPBACK = /^(localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;
const FOREIGN_SITES = new Set(["cross-site", "same-site"]);

/**
 * Keeps web pages from driving a gateway that asks for no key: a page may reach it under a name
 * of its own (DNS rebinding, seen by Host) or send requests from elsewhere (seen by Origin and
 * Sec-Fetch-Site, which browsers set and pages cannot).
 */
export function refuseForeign(allowedHosts: readonly string[]): MiddlewareHandler<GatewayEnv> {
  const allowed = new Set(allowedHosts.map((host) => host.toLowerCase()));
  const isExpected = (host: string): boolean => {
    const name = host.replace(/:\d*$/, "");
    return allowed.has("*") || LOOPBACK.test(name) || allowed.has(name) || allowed.has(host);
  };
  return async (c, next) => {
    const host = (c.req.header("host") ?? "").toLowerCase();
    if (!isExpected(host))
      throw refuse(
        `The gateway is not addressed as "${host.slice(0, 255)}"; without API keys it takes only its own names.`,
      );
    const origin = c.req.header("origin");
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
      throw refuse(`Requests of web pages from "${origin.slice(0, 255)}" are refused.`);
    }
    if (FOREIGN_SITES.has(c.req.header("sec-fetch-site") ?? ""))
      throw refuse("Requests of web pages from other sites are refused.");
    await next();
  };
}

function refuse(detail: string): ProblemError {
  return new ProblemError("forbidden-origin", detail);
}
