import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { VersionInfo } from "#api/system.ts";
import type { Clock } from "#core/clock.ts";
import type { Ids } from "#core/ids.ts";
import type { Log } from "#core/log.ts";
import type { Call, SandboxBackend } from "./backend/port.ts";
import type { GatewayConfig } from "./gateway-config.ts";
import type { RequestMeter } from "./metrics/request-meter.ts";
import type { ApiKeys } from "./middleware/auth.ts";
import type { StreamLimits } from "./middleware/stream-limits.ts";
import type { Discards } from "./routes/isola/discards.ts";

/** What the gateway is made of; nothing else reaches it. */
export interface GatewayDeps {
  readonly backend: SandboxBackend;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly config: GatewayConfig;
  readonly version: VersionInfo;
  /** Absent = those of the configuration. */
  readonly apiKeys?: ApiKeys;
  /** Absent = nobody counts requests. */
  readonly meter?: RequestMeter;
}

/** What routes get: the deps and what is counted over all requests. */
export interface RouteDeps extends GatewayDeps {
  readonly streams: StreamLimits;
  readonly discards: Discards;
}

/** One request on its way, as everything behind the front door knows it. */
export interface RequestContext extends Call {
  readonly requestId: string;
  readonly request: Request;
  /** The route that serves it, by its pattern as the router has it. */
  routed(pattern: string): void;
  /** A stream that goes on after the head of the answer; the result is called once, when it is over. */
  hold(): () => void;
}

export interface GatewayEnv {
  Bindings: RequestContext;
}

export type Gateway = OpenAPIHono<GatewayEnv>;
export type GatewayContext = Context<GatewayEnv>;

/** What a backend call carries on behalf of a request: it ends when the caller goes away. */
export function callOf(c: GatewayContext): Call {
  return c.env;
}
