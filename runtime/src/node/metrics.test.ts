import { describe, expect, it } from "vitest";
import type { SandboxPhase } from "#core/sandbox.ts";
import { RequestMeter } from "../metrics/request-meter.ts";
import { createMetrics } from "./metrics.ts";

async function shown(requests: RequestMeter, phases: SandboxPhase[] = []): Promise<Map<string, number>> {
  const metrics = createMetrics({
    requests,
    phases: () => phases,
    maxStreams: 7,
    version: "1.2.3",
    runtime: "test 1",
  });
  // What is asked for twice says the same twice.
  await metrics.render();
  const { text, contentType } = await metrics.render();
  expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

describe("createMetrics()", () => {
  it("shows requests under the contract's names, labels and buckets", async () => {
    let nowMs = 0;
    const meter = new RequestMeter(() => nowMs);
    for (const seconds of [0.004, 0.3, 20, 90]) {
      const one = meter.begin(new Request("http://localhost/"), () => "/v1/sandboxes/:id");
      nowMs += seconds * 1000;
      void one.meter(new Response(null, { status: 204 }));
    }
    meter.begin(new Request("http://localhost/"), () => undefined).hold();
    const values = await shown(meter);
    const labels = 'method="GET",path="/v1/sandboxes/{id}",code="204"';
    const duration = "isola_apigateway_http_request_duration_seconds";
    expect(values.get(`isola_apigateway_http_requests_total{${labels}}`)).toBe(4);
    expect(values.get(`${duration}_count{${labels}}`)).toBe(4);
    expect(values.get(`${duration}_sum{${labels}}`)).toBeCloseTo(110.304);
    const buckets = [...values].filter(([name]) => name.startsWith(`${duration}_bucket`));
    expect(buckets.map(([name, value]) => `${/le="(.*?)"/.exec(name)?.[1]}: ${value}`).join(" ")).toBe(
      "0.005: 1 0.01: 1 0.025: 1 0.05: 1 0.1: 1 0.25: 1 0.5: 2 1: 2 2.5: 2 5: 2 10: 2 15: 2 30: 3 60: 3 +Inf: 4",
    );
    expect(buckets.filter(([name]) => !name.includes(labels))).toEqual([]);
    expect(values.get("isola_apigateway_http_requests_in_flight")).toBe(1);
  });

  it("shows sandboxes, streams, the build and the process", async () => {
    const meter = new RequestMeter(() => 0);
    meter.begin(new Request("http://localhost/"), () => undefined).hold();
    const values = await shown(meter, ["Running", "Running", "Failed"]);
    const sandboxes = [...values].filter(([name]) => name.startsWith("atoll_gateway_sandboxes"));
    expect(Object.fromEntries(sandboxes.map(([name, count]) => [/"(.*)"/.exec(name)?.[1], count]))).toEqual({
      Pending: 0,
      Running: 2,
      Terminating: 0,
      Succeeded: 0,
      Failed: 1,
    });
    expect(values.get("atoll_gateway_streams_open")).toBe(1);
    expect(values.get("atoll_gateway_streams_limit")).toBe(7);
    expect(values.get('atoll_gateway_build_info{version="1.2.3",runtime="test 1"}')).toBe(1);
    expect(values.get("process_resident_memory_bytes")).toBeGreaterThan(1 << 20);
    expect(values.get("process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(
      Math.abs((values.get("process_start_time_seconds") ?? 0) - (Date.now() / 1000 - process.uptime())),
    ).toBeLessThan(5);
    expect(values.get("process_open_fds")).toBeGreaterThan(2);
    expect(values.get("process_cpu_seconds_total")).toBeGreaterThanOrEqual(
      values.get("process_cpu_user_seconds_total") ?? Infinity,
    );
  });
});
