import type { Log } from "#core/log.ts";
import { serveStatus, type StatusServer } from "#core/node/serve-status.ts";
import type { SandboxBackend } from "../backend/port.ts";
import { GATEWAY_PATHS, type GatewayEnvironment } from "../manifest.ts";
import { RequestMeter } from "../metrics/request-meter.ts";

interface MetricsDeps {
  readonly backend: SandboxBackend;
  readonly version: string;
  readonly runtime: string;
  readonly log: Log;
}

export interface OpenMetrics {
  readonly meter: RequestMeter;
  readonly server: StatusServer;
}

/** Counts requests and serves the numbers where the environment says, if it says so. */
export async function openMetrics(
  env: GatewayEnvironment,
  { backend, version, runtime, log }: MetricsDeps,
): Promise<OpenMetrics | undefined> {
  const listen = env.ATOLL_METRICS_LISTEN;
  if (listen === undefined) return undefined;
  // Loaded only where it is asked for.
  const { createMetrics } = await import("../node/metrics.ts");
  const meter = new RequestMeter(() => performance.now());
  const metrics = createMetrics({
    requests: meter,
    phases: () => backend.phases(),
    maxStreams: env.ATOLL_MAX_STREAMS,
    version,
    runtime,
  });
  const server = await serveStatus(listen, {
    [GATEWAY_PATHS.metrics]: async () => ({ status: 200, ...(await metrics.render()) }),
  });
  log.info("metrics listening", { hostname: listen.hostname, port: server.port });
  return { meter, server };
}
