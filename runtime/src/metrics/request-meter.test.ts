import { describe, expect, it } from "vitest";
import * as fc from "fast-check";
import { toHex } from "#core/hex.ts";
import { sha256 } from "#core/ids.ts";
import { gatewayFixture } from "../../test/gateway-fixture.ts";
import { RequestMeter } from "./request-meter.ts";
import { DURATION_BOUNDS } from "./request-series.ts";

const BODY = { podTemplate: { containers: [{ image: "img" }] } };

function metered(config = {}) {
  const meter = new RequestMeter(() => performance.now());
  const labels = (): string[] => [...meter.series()].map(({ method, path, code }) => `${method} ${path} ${code}`);
  return { meter, labels, ...gatewayFixture({ meter, config }) };
}

/** A sandbox with a command that prints a line and goes on. */
async function following() {
  const gateway = metered();
  const { id } = (await (await gateway.sendJson("/v1/sandboxes", BODY)).json()) as { id: string };
  const commands = `/v1/sandboxes/${id}/commands`;
  const spawned = await gateway.sendJson(commands, { args: ["sh", "-c", "echo a; sleep 600"] });
  const command = `${commands}/${((await spawned.json()) as { id: string }).id}`;
  return { ...gateway, command, inFlight: () => [gateway.meter.inFlight, gateway.meter.openStreams] };
}

describe("RequestMeter in the app", () => {
  it("counts each route under its own pattern, written as in the OpenAPI document", async () => {
    const { app, send, labels } = metered();
    const document = (await (await send("/openapi.json")).json()) as { paths: Record<string, object> };
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    for (const { method, path } of app.routes) {
      const answer = await send(path.replaceAll(/:\w+/g, "absent"), { method });
      await answer.body?.cancel();
    }
    const counted = new Set(labels().map((label) => label.slice(0, label.lastIndexOf(" "))));
    expect([...counted].toSorted()).toEqual([...described, "GET /openapi.json", "GET /docs"].toSorted());
  });

  it("makes no series of what callers invent", async () => {
    const { send, labels } = metered();
    const method = fc.stringMatching(/^[A-Z]{1,8}$/).filter((text) => !/^(CONNECT|TRACE|TRACK)$/.test(text));
    await fc.assert(
      fc.asyncProperty(method, fc.stringMatching(/^(\/[a-z]{0,3}){0,3}$/), async (invented, path) => {
        await send(`/nowhere${path}`, { method: invented });
      }),
    );
    await send("/v1/sandboxes", { method: "BREW" });
    await send("/v1/sandboxes", { method: "PUT" });
    const allowed = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|OTHER) unknown (404|405)$/;
    expect(labels().filter((label) => !allowed.test(label))).toEqual([]);
    expect(labels()).toEqual(expect.arrayContaining(["OTHER unknown 404", "OTHER unknown 405"]));
  });

  it("counts what the front door refuses under the route that was asked for", async () => {
    const { send, labels, meter } = metered({ apiKeyHashes: [toHex(await sha256("key"))] });
    await send("/v1/sandboxes/abc");
    await send("/nowhere");
    await send("/v1/sandboxes", { method: "HEAD" });
    expect(labels().toSorted()).toEqual(["GET /v1/sandboxes/{id} 401", "GET unknown 401", "HEAD /v1/sandboxes 401"]);
    expect(meter.inFlight).toBe(0);
  });

  it("has a stream in flight until its reader goes away", async () => {
    const { command, send, inFlight, labels } = await following();
    expect(inFlight()).toEqual([0, 0]);
    const bodies = await Promise.all(
      ["stdout", "stderr"].map(async (name) => (await send(`${command}/${name}`)).body!),
    );
    expect(inFlight()).toEqual([2, 2]);
    expect(labels()).toContain("GET /v1/sandboxes/{sandboxId}/commands/{id}/stdout 200");
    await bodies[0]?.cancel();
    expect(inFlight()).toEqual([1, 1]);
    await bodies[1]?.cancel();
    expect(inFlight()).toEqual([0, 0]);
  });

  it("has a stream in flight until it ends", async () => {
    const { command, send, inFlight } = await following();
    const answer = await send(`${command}/stdout`);
    expect(inFlight()).toEqual([1, 1]);
    await send(command, { method: "DELETE" });
    await answer.text();
    expect(inFlight()).toEqual([0, 0]);
  });

  it("has a refused stream, and one that nobody wants, in flight no longer than its answer", async () => {
    const { command, send, inFlight } = await following();
    expect((await send(`${command}/stdout`, { headers: { "Last-Event-ID": "x" } })).status).toBe(400);
    expect((await send(`${command}/stdout`.replace(/sandboxes\/[^/]+/, "sandboxes/absent"))).status).toBe(404);
    await (await send(`${command}/stdout`, { method: "HEAD" })).text();
    expect(inFlight()).toEqual([0, 0]);
  });
});

describe("RequestMeter.begin()", () => {
  const request = new Request("http://localhost/");

  it("counts a time at the first bound that is not below it", () => {
    let nowMs = 0;
    const meter = new RequestMeter(() => nowMs);
    const places = [0, ...DURATION_BOUNDS, 61].map((seconds) => {
      nowMs = 0;
      const one = meter.begin(request, () => `/${seconds}`);
      nowMs = seconds * 1000;
      void one.meter(new Response());
      return [...meter.series()].find(({ path }) => path === `/${seconds}`)?.counts.indexOf(1);
    });
    expect(places).toEqual([0, ...DURATION_BOUNDS.keys(), DURATION_BOUNDS.length]);
  });

  it("counts an answer that never comes as a fault of the gateway, and lets the fault through", async () => {
    const meter = new RequestMeter(() => 0);
    const fault = new Error("a fault");
    await expect(meter.begin(request, () => "/a").meter(Promise.reject(fault))).rejects.toBe(fault);
    expect([...meter.series()].map(({ code, total }) => [code, total])).toEqual([[500, 1]]);
    expect(meter.inFlight).toBe(0);
  });
});
