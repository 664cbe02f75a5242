import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { SandboxPhase } from "#core/sandbox.ts";
import type { RequestMeter } from "../metrics/request-meter.ts";
import { DURATION_BOUNDS } from "../metrics/request-series.ts";
import { gauge } from "./gauge.ts";
import { showProcess } from "./process-metrics.ts";

export interface MetricsOptions {
  readonly requests: RequestMeter;
  readonly phases: () => Iterable<SandboxPhase>;
  readonly maxStreams: number;
  readonly version: string;
  /** For example `bun 1.4.5`. */
  readonly runtime: string;
}

/** The gateway's numbers, for Prometheus. */
export interface Metrics {
  /** The exposition text and its content type. */
  render(): Promise<{ readonly text: string; readonly contentType: string }>;
}

const REQUEST_LABELS = ["method", "path", "code"] as const;
const PHASES: Readonly<Record<SandboxPhase, 0>> = { Pending: 0, Running: 0, Terminating: 0, Succeeded: 0, Failed: 0 };
const DURATION = {
  name: "isola_apigateway_http_request_duration_seconds",
  help: "Time from a request's arrival until the head of its answer; how long a stream goes on then does not count.",
};

/** Everything is read when somebody asks: between scrapes it costs nothing. Names with `isola_` are the cluster contract's. */
export function createMetrics({ requests, phases, maxStreams, version, runtime }: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  showProcess(registry);
  const total = new Counter({
    name: "isola_apigateway_http_requests_total",
    help: "Requests answered, by method, pattern of the route and status.",
    labelNames: REQUEST_LABELS,
    registers,
    collect() {
      total.reset();
      for (const { method, path, code, total: count } of requests.series()) total.inc({ method, path, code }, count);
    },
  });
  registry.registerMetric(new RequestDurations(requests));
  gauge(registry, "isola_apigateway_http_requests_in_flight", {
    help: "Requests that wait for their answer, and streams until their end.",
    read: () => requests.inFlight,
  });
  gauge(registry, "atoll_gateway_streams_open", {
    help: "Streams of output, input and files that are open.",
    read: () => requests.openStreams,
  });
  gauge(registry, "atoll_gateway_streams_limit", {
    help: "Streams that may be open at once; one more is refused.",
    read: () => maxStreams,
  });
  const sandboxes: Gauge<"phase"> = new Gauge({
    name: "atoll_gateway_sandboxes",
    help: "Sandboxes that this gateway knows, by phase; gateways of one cluster know the same ones.",
    labelNames: ["phase"],
    registers,
    collect() {
      const counts: Record<SandboxPhase, number> = { ...PHASES };
      for (const phase of phases()) counts[phase] += 1;
      for (const [phase, count] of Object.entries(counts)) sandboxes.set({ phase }, count);
    },
  });
  new Gauge({
    name: "atoll_gateway_build_info",
    help: "1, with the gateway's version and what it runs on.",
    labelNames: ["version", "runtime"],
    registers,
  }).set({ version, runtime }, 1);
  return { render: async () => ({ text: await registry.metrics(), contentType: registry.contentType }) };
}

/** What was counted elsewhere in the library's form: its own histogram looks labels up on every request. */
class RequestDurations extends Histogram<(typeof REQUEST_LABELS)[number]> {
  private readonly requests: RequestMeter;

  constructor(requests: RequestMeter) {
    super({ ...DURATION, labelNames: REQUEST_LABELS, buckets: [...DURATION_BOUNDS], registers: [] });
    this.requests = requests;
  }

  /** What the registry asks for, in place of what nobody observed here. */
  async getForPromString() {
    const values = [...this.requests.series()].flatMap(({ method, path, code, counts, total, sumSeconds }) => {
      const sharedLabels = { method, path, code };
      const value = (suffix: string, amount: number, labels = {}) => ({
        metricName: `${DURATION.name}_${suffix}`,
        labels,
        sharedLabels,
        value: amount,
      });
      let upTo = 0;
      const buckets = DURATION_BOUNDS.map((le, place) => value("bucket", (upTo += counts[place] ?? 0), { le }));
      return [...buckets, value("bucket", total, { le: "+Inf" }), value("sum", sumSeconds), value("count", total)];
    });
    return { ...DURATION, type: "histogram", values };
  }
}
