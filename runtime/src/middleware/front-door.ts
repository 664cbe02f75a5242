import type { Log } from "#core/log.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { Gateway, GatewayDeps, RequestContext } from "../gateway.ts";
import { fixedKeys, requireKey } from "./auth.ts";
import { refuseForeign } from "./origin.ts";
import { refuse } from "./problem.ts";
import type { MeteredRequest, PatternOf } from "../metrics/request-meter.ts";
import { readHead, readMeasuredHead, type RequestHead } from "./request-head.ts";

const REQUEST_ID = /^[\w.-]{1,128}$/;

/** What lies behind the front door. */
interface House {
  readonly publicPaths: ReadonlySet<string>;
  readonly route: Gateway["fetch"];
  readonly patternOf: PatternOf;
}

/**
 * Stands before the router: names each request, bounds its headers, and lets in who may come in.
 * Plain calls rather than layers of the router: a request that waits for nothing is answered in
 * one go, which the runtimes reward.
 */
export function createFrontDoor(
  { ids, log, config, apiKeys, meter }: GatewayDeps,
  { publicPaths, route, patternOf }: House,
): Gateway["fetch"] {
  const isMeasured = config.maxHeaderBytes !== Infinity;
  const keys = apiKeys ?? (config.apiKeyHashes.length > 0 ? fixedKeys(config.apiKeyHashes) : undefined);
  const refuseUnknown =
    keys === undefined ? refuseForeign(config.allowedHosts, publicPaths) : requireKey(keys, publicPaths);
  const enter = (request: Request, metered?: MeteredRequest): Response | Promise<Response> => {
    const head = isMeasured ? readMeasuredHead(request) : readHead(request);
    const given = head.requestId;
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : ids.commandId();
    const context = new Context(request, requestId, log, metered);
    try {
      checkSize(head, config.maxHeaderBytes);
      const checking = refuseUnknown(request, head);
      if (checking === undefined) return route(request, context);
      return checking.then(
        () => route(request, context),
        (error: unknown) => turnAway(error, context),
      );
    } catch (error) {
      return turnAway(error, context);
    }
  };
  if (meter === undefined) return (request) => enter(request);
  return (request) => {
    const metered = meter.begin(request, patternOf);
    return metered.meter(enter(request, metered));
  };
}

function turnAway(error: unknown, context: RequestContext): Response {
  const answer = refuse(error, context);
  return context.request.method === "HEAD" ? new Response(null, answer) : answer;
}

/** Makes only what is asked for: most requests neither log nor wait. */
class Context implements RequestContext {
  readonly request: Request;
  readonly requestId: string;
  readonly #base: Log;
  readonly #metered: MeteredRequest | undefined;
  #log: Log | undefined;

  constructor(request: Request, requestId: string, base: Log, metered: MeteredRequest | undefined) {
    this.request = request;
    this.requestId = requestId;
    this.#base = base;
    this.#metered = metered;
  }

  get signal(): AbortSignal {
    return this.request.signal;
  }

  get log(): Log {
    return (this.#log ??= this.#base.child({ request_id: this.requestId }));
  }

  routed(pattern: string): void {
    if (this.#metered !== undefined) this.#metered.pattern = pattern;
  }

  hold(): () => void {
    return this.#metered?.hold() ?? (() => undefined);
  }
}

function checkSize({ sizeBytes = 0 }: RequestHead, maxBytes: number): void {
  if (sizeBytes <= maxBytes) return;
  throw new ProblemError(
    "headers-too-large",
    `The request's target and headers have ${sizeBytes} bytes; at most ${maxBytes} are taken.`,
  );
}
