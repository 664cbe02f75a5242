import { getPath } from "hono/utils/url";
import { ProblemError } from "#core/problem-error.ts";
import type { RequestHead } from "./request-head.ts";

const LOOPBACK = /^(localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;
const FOREIGN_SITES = new Set(["cross-site", "same-site"]);

/**
 * Keeps web pages from driving a gateway that asks for no key: a page may reach it under a name
 * of its own (DNS rebinding, seen by Host) or send requests from elsewhere (seen by Origin and
 * Sec-Fetch-Site, which browsers set and pages cannot). Public paths say nothing about sandboxes
 * and are there under every name: probes address a pod by whatever address it has.
 */
export function refuseForeign(
  allowedHosts: readonly string[],
  publicPaths: ReadonlySet<string>,
): (request: Request, head: RequestHead) => undefined {
  const allowed = new Set(allowedHosts.map((host) => host.toLowerCase()));
  const isExpected = (host: string): boolean => {
    const name = host.replace(/:\d*$/, "");
    return allowed.has("*") || LOOPBACK.test(name) || allowed.has(name) || allowed.has(host);
  };
  let lastExpected: string | undefined;
  return (request, head) => {
    const host = (head.host ?? "").toLowerCase();
    if (host !== lastExpected) {
      if (isExpected(host)) lastExpected = host;
      else if (!publicPaths.has(getPath(request))) throw refuseHost(host);
    }
    const { origin, fetchSite } = head;
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
      throw refuse(`Requests of web pages from "${origin.slice(0, 255)}" are refused.`);
    }
    if (fetchSite !== undefined && FOREIGN_SITES.has(fetchSite))
      throw refuse("Requests of web pages from other sites are refused.");
    return undefined;
  };
}

function refuseHost(host: string): ProblemError {
  return refuse(
    `The gateway is not addressed as "${host.slice(0, 255)}"; without API keys it takes only its own names.`,
  );
}

function refuse(detail: string): ProblemError {
  return new ProblemError("forbidden-origin", detail);
}
