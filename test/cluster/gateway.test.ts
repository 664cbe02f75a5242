import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { startApiProxy, type ApiProxy } from "../harness/api-proxy.ts";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { makeGatewayAccount } from "../harness/gateway-account.ts";
import { startHostGateway, type HostGateway } from "../harness/host-gateway.ts";
import { startHostOperator, type HostOperator } from "../harness/host-operator.ts";
import { until } from "../harness/until.ts";
import { call } from "./cluster.ts";

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & { readonly id: string; readonly detail?: string; readonly errors?: unknown };
}

const WAIT_MS = 60_000;
let directory = "";
let operator: HostOperator;
let proxy: ApiProxy;
let first: HostGateway;
let second: HostGateway;

/** Sends a request with a JSON body, or none, and reads the answer. */
async function ask(gateway: HostGateway, method: string, path: string, body?: object, key?: string): Promise<Answer> {
  const response = await fetch(gateway.url + path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    headers: { "content-type": "application/json", ...(key === undefined ? {} : { "idempotency-key": key }) },
    signal: AbortSignal.timeout(WAIT_MS),
  });
  const text = await response.text();
  return { status: response.status, body: (text === "" ? {} : JSON.parse(text)) as Answer["body"] };
}

const box = (rest: object = {}): object => ({ podTemplate: { containers: [{ image: TEST_IMAGE }] }, ...rest });

/** Runs a command to its end: through one gateway, and its output through another. */
async function run(id: string, script: string, by: HostGateway, readBy: HostGateway): Promise<string> {
  const base = `/v1/sandboxes/${id}/commands`;
  const started = await ask(by, "POST", base, { args: ["sh", "-c", script] });
  expect(started.status).toBe(202);
  const status = await ask(readBy, "GET", `${base}/${started.body.id}/status?waitSeconds=20`);
  expect(status.body).toEqual({ exitCode: 0 });
  const output = await fetch(`${readBy.url}${base}/${started.body.id}/stdout`, {
    signal: AbortSignal.timeout(WAIT_MS),
  });
  return output.text();
}

const eventually = <T>(look: () => Promise<T>, pleases: (seen: T) => boolean): Promise<T> =>
  until(look, pleases, { timeoutMs: WAIT_MS });

const podNames = async (): Promise<string[]> =>
  (await operator.client.list(PODS, { namespace: operator.sandboxNamespace }, call())).items.map(
    ({ metadata }) => metadata.name,
  );

const namesOf = async (): Promise<string[]> =>
  (await operator.client.list(SANDBOXES, { namespace: operator.sandboxNamespace }, call())).items.map(
    ({ metadata }) => metadata.name,
  );

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "atoll-two-gateways-"));
  operator = await startHostOperator();
  proxy = await startApiProxy(operator.cluster.kubeconfig);
  const kubeconfig = await makeGatewayAccount(operator, proxy.url, directory);
  // Both with the gateway's own rights alone.
  [first, second] = await Promise.all([
    startHostGateway(operator, { kubeconfig }),
    startHostGateway(operator, { kubeconfig, runtime: "node" }),
  ]);
}, 180_000);
afterAll(async () => {
  await Promise.all([first?.dispose(), second?.dispose()]);
  await operator?.dispose();
  proxy?.close();
  rmSync(directory, { recursive: true });
}, 120_000);

afterEach(() => proxy.setOpen(true));

describe("gateways over one cluster", { timeout: 120_000 }, () => {
  it("know of each other's sandboxes at once, and read each other's commands", async () => {
    const made = await ask(first, "POST", "/v1/sandboxes", box());
    expect(made).toMatchObject({ status: 201, body: { status: "Running" } });
    expect(await ask(second, "GET", `/v1/sandboxes/${made.body.id}`)).toMatchObject({ status: 200 });
    await eventually(
      () => ask(second, "GET", `/v1/sandboxes/${made.body.id}`),
      ({ body }) => body["status"] === "Running",
    );
    expect(await run(made.body.id, "echo through both", first, second)).toContain("data: through both");
    expect((await ask(second, "DELETE", `/v1/sandboxes/${made.body.id}`)).status).toBe(204);
    await eventually(
      () => ask(first, "GET", `/v1/sandboxes/${made.body.id}`),
      ({ status }) => status === 404,
    );
  });

  it("run commands at once in what another one has found up, though they are behind it and the operator is away", async () => {
    process.kill(second.pid, "SIGSTOP");
    try {
      // With a key: nothing is written between the moment it is found up and the answer.
      const making = ask(first, "POST", "/v1/sandboxes", box(), "found-up");
      await eventually(podNames, (names) => names.length > 0);
      await operator.stop("SIGKILL");
      const made = await making;
      expect(made).toMatchObject({ status: 201, body: { status: "Running" } });
      const running = run(made.body.id, "echo at once", second, first);
      process.kill(second.pid, "SIGCONT");
      expect(await running).toContain("data: at once");
    } finally {
      process.kill(second.pid, "SIGCONT");
      await operator.start();
    }
  });

  it("make one sandbox of one key, whoever is asked, and refuse another request with it", async () => {
    const answers = await Promise.all([first, second].map((by) => ask(by, "POST", "/v1/sandboxes", box(), "one-key")));
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
    expect(answers[0]?.body.id).toBe(answers[1]?.body.id);
    const other = await ask(second, "POST", "/v1/sandboxes", box({ timeoutSeconds: 5 }), "one-key");
    expect([other.status, other.body["type"]]).toEqual([422, "urn:atoll:problem:idempotency-mismatch"]);
  });

  it("go on reading and running commands while the operator is away, and end what was deleted when it is back", async () => {
    const { body } = await ask(first, "POST", "/v1/sandboxes", box());
    await operator.stop("SIGKILL");
    expect(await run(body.id, "echo alone", first, second)).toContain("data: alone");
    const pending = await ask(first, "POST", "/v1/sandboxes", box(), "while-away");
    expect(pending).toMatchObject({ status: 201, body: { status: "Pending" } });
    expect((await ask(first, "DELETE", `/v1/sandboxes/${body.id}`)).status).toBe(204);
    expect((await ask(first, "GET", `/v1/sandboxes/${body.id}`)).body["status"]).toBe("Terminating");
    await operator.start();
    await eventually(
      () => ask(first, "GET", `/v1/sandboxes/${body.id}`),
      ({ status }) => status === 404,
    );
    await eventually(
      () => ask(second, "GET", `/v1/sandboxes/${pending.body.id}`),
      ({ body: { status } }) => status === "Running",
    );
  });

  it("go on reading and running commands while the API server is away, and catch up when it is back", async () => {
    const { body } = await ask(first, "POST", "/v1/sandboxes", box());
    await eventually(
      () => ask(second, "GET", `/v1/sandboxes/${body.id}`),
      ({ body: { status } }) => status === "Running",
    );
    await proxy.setOpen(false);
    expect(await ask(second, "GET", `/v1/sandboxes/${body.id}`)).toMatchObject({ status: 200 });
    expect((await ask(first, "GET", "/readyz")).status).toBe(200);
    expect(await run(body.id, "echo without it", first, second)).toContain("data: without it");
    expect((await ask(first, "POST", "/v1/sandboxes", box())).status).toBe(503);
    expect((await ask(first, "GET", "/v1/sandboxes/unknown")).status).toBe(503);
    const name = { name: body.id, namespace: operator.sandboxNamespace };
    await operator.client.remove(SANDBOXES, name, call());
    await proxy.setOpen(true);
    await eventually(
      () => ask(first, "GET", `/v1/sandboxes/${body.id}`),
      ({ status }) => status === 404,
    );
    expect((await ask(second, "POST", "/v1/sandboxes", box())).status).toBe(201);
  });

  it("make exactly one sandbox when the API server's answers are lost", async () => {
    const before = await namesOf();
    proxy.loseAnswers(2, ({ method, url = "" }) => method === "POST" && url.endsWith("/sandboxes"));
    const made = await ask(first, "POST", "/v1/sandboxes", box());
    expect(made.status).toBe(201);
    proxy.loseAnswers(1, ({ method }) => method === "PATCH");
    const confirmed = await ask(second, "POST", "/v1/sandboxes", box());
    expect(confirmed.status).toBe(201);
    const added = (await namesOf()).filter((name) => !before.includes(name));
    expect(added.toSorted()).toEqual([made.body.id, confirmed.body.id].toSorted());
    for (const { metadata } of (await operator.client.list(SANDBOXES, { namespace: operator.sandboxNamespace }, call()))
      .items)
      if (added.includes(metadata.name)) expect(metadata.annotations).not.toHaveProperty(["atoll.run/provisional"]);
  });

  it("hand on what the API server refuses, where the caller wrote it", async () => {
    const long = { podTemplate: { containers: [{ image: "x".repeat(5000) }] } };
    const refused = await ask(first, "POST", "/v1/sandboxes", long);
    expect(refused).toMatchObject({
      status: 422,
      body: { errors: [{ location: "body.podTemplate.containers[0].image" }] },
    });
    const quota = {
      group: "",
      version: "v1",
      plural: "resourcequotas",
      kind: "ResourceQuota",
      namespaced: true,
    } as const;
    const { sandboxNamespace: namespace } = operator;
    const hard = { "count/sandboxes.sandbox.isola.run": "0" };
    await operator.client.create(quota, { metadata: { name: "none", namespace }, spec: { hard } } as never, call());
    try {
      const full = await eventually(
        () => ask(first, "POST", "/v1/sandboxes", box(), `quota-${Date.now()}`),
        ({ status }) => status !== 201,
      );
      expect(full).toMatchObject({ status: 403, body: { type: "urn:atoll:problem:not-permitted" } });
      expect(full.body.detail).toContain("exceeded quota");
    } finally {
      await operator.client.remove(quota, { name: "none", namespace }, call());
    }
  });

  it("say 409 for commands once the pod is gone, and why", async () => {
    const { body } = await ask(first, "POST", "/v1/sandboxes", box());
    const pod = { name: `${body.id}-pod`, namespace: operator.sandboxNamespace };
    await operator.client.remove(PODS, pod, call(), { gracePeriodSeconds: 0 });
    const ended = await eventually(
      () => ask(first, "GET", `/v1/sandboxes/${body.id}`),
      ({ body: { status } }) => status === "Failed",
    );
    const refused = await ask(first, "POST", `/v1/sandboxes/${body.id}/commands`, { args: ["true"] });
    expect(refused.status).toBe(409);
    expect(refused.body.detail).toContain(String(ended.body["reason"]));
  });
});
