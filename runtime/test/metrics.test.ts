import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GATEWAY_PATHS } from "#runtime/manifest.ts";
import { eventually, httpClient, type HttpClient } from "./conformance/http-client.ts";
import { startGateway, type RunningGateway, type RuntimeName } from "./conformance/start-gateway.ts";

describe.each(["bun", "deno", "node"] satisfies RuntimeName[])("metrics on %s", { timeout: 30_000 }, (runtime) => {
  let gateway: RunningGateway | undefined;
  let client: HttpClient;
  const url = (): string => `http://127.0.0.1:${gateway?.metricsPort}${GATEWAY_PATHS.metrics}`;
  const scrape = async (): Promise<Map<string, number>> => {
    const text = await (await fetch(url())).text();
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
    );
  };
  const total = (labels: string): string => `isola_apigateway_http_requests_total{${labels}}`;

  beforeAll(async () => {
    gateway = await startGateway(runtime, { ATOLL_METRICS_LISTEN: "127.0.0.1:0" });
    client = httpClient(gateway);
  }, 90_000);
  afterAll(() => gateway?.stop(), 60_000);

  it("are on a port of their own, and nothing else is there", async () => {
    const answer = await fetch(url());
    expect([answer.status, answer.headers.get("content-type")]).toEqual([
      200,
      "text/plain; version=0.0.4; charset=utf-8",
    ]);
    await answer.text();
    expect((await client.send(GATEWAY_PATHS.metrics)).status).toBe(404);
    expect((await fetch(new URL("/v1/sandboxes", url()))).status).toBe(404);
    expect((await fetch(url(), { method: "POST" })).status).toBe(405);
  });

  it("count requests by route, and sandboxes by phase", async () => {
    const sandbox = await client.sandbox();
    for (let i = 0; i < 3; i += 1) await (await client.send(sandbox)).text();
    await client.send("/v1/sandboxes/absent");
    const values = await scrape();
    expect(values.get(total('method="GET",path="/v1/sandboxes/{id}",code="200"'))).toBe(3);
    expect(values.get(total('method="GET",path="/v1/sandboxes/{id}",code="404"'))).toBe(1);
    expect(values.get(total('method="POST",path="/v1/sandboxes",code="201"'))).toBe(1);
    expect(values.get('atoll_gateway_sandboxes{phase="Running"}')).toBe(1);
    expect(values.get("process_resident_memory_bytes")).toBeGreaterThan(1 << 20);
    await client.removeAll();
  });

  it("have a stream in flight until its connection breaks", async () => {
    const command = await client.spawn(await client.sandbox(), ["sh", "-c", "echo a; sleep 600"]);
    const reader = new AbortController();
    const answer = await client.send(`${command}/stdout`, { signal: reader.signal });
    expect(answer.status).toBe(200);
    const open = async (): Promise<(number | undefined)[]> => {
      const values = await scrape();
      return [values.get("isola_apigateway_http_requests_in_flight"), values.get("atoll_gateway_streams_open")];
    };
    expect(await open()).toEqual([1, 1]);
    reader.abort();
    await eventually(async () => expect(await open()).toEqual([0, 0]));
    await client.removeAll();
  });
});

describe("a gateway without ATOLL_METRICS_LISTEN", () => {
  it("serves none", async () => {
    const gateway = await startGateway("node");
    try {
      expect(gateway.metricsPort).toBeUndefined();
      expect((await fetch(`${gateway.url}${GATEWAY_PATHS.metrics}`)).status).toBe(404);
    } finally {
      await gateway.stop();
    }
  });
});
