import type { Clock } from "#core/clock.ts";
import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { createLog } from "#core/log.ts";
import { createApp } from "#runtime/app.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { createMemoryBackend } from "#runtime/backend/memory/create-memory-backend.ts";
import { DEFAULT_GATEWAY_CONFIG, type GatewayConfig } from "#runtime/gateway-config.ts";
import type { RequestMeter } from "#runtime/metrics/request-meter.ts";

export interface FixtureOptions {
  readonly backend?: SandboxBackend;
  readonly clock?: Clock;
  readonly config?: Partial<GatewayConfig>;
  readonly meter?: RequestMeter;
}

/** An app in this process, what it logs, and requests to it as from this machine. */
export function gatewayFixture({
  backend = createMemoryBackend(),
  clock = systemClock,
  config = {},
  meter,
}: FixtureOptions = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog("debug", (line) => lines.push(JSON.parse(line) as Record<string, unknown>), clock.now);
  const version = { gitVersion: "v0.0.0", goVersion: "test", platform: "test" };
  const app = createApp({
    backend,
    clock,
    ids: cryptoIds,
    log,
    config: { ...DEFAULT_GATEWAY_CONFIG, ...config },
    version,
    ...(meter === undefined ? {} : { meter }),
  });
  const send = async (path: string, { headers, ...init }: RequestInit = {}): Promise<Response> =>
    app.request(path, { ...init, headers: { Host: "localhost", ...(headers as Record<string, string>) } });
  return {
    app,
    lines,
    send,
    sendJson: (path: string, body: unknown, init: RequestInit = {}): Promise<Response> =>
      send(path, {
        method: "POST",
        body: JSON.stringify(body),
        ...init,
        headers: { "Content-Type": "application/json", ...(init.headers as Record<string, string>) },
      }),
  };
}
