import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import { podName } from "#core/kubernetes/names.ts";
import { EVENTS, PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";
import { startApiProxy, type ApiProxy } from "../harness/api-proxy.ts";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { makeGatewayAccount } from "../harness/gateway-account.ts";
import { makeGhostNode, type GhostNode } from "../harness/ghost-node.ts";
import { startHostGateway, type HostGateway } from "../harness/host-gateway.ts";
import { startHostOperator, type HostOperator } from "../harness/host-operator.ts";
import { call } from "./cluster.ts";

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & { readonly id: string; readonly detail?: string };
}

const WAIT = { timeout: 90_000, interval: 200 };
const REQUEST_MS = 60_000;
const TEST_MS = 180_000;
/** What waits for an agent must know of the end this soon after the record does. */
const TOLD_MS = 10_000;
/** A command as ids go, of an agent that never answers. */
const COMMAND = "01234567-89ab-4def-8123-456789abcdef";

let directory = "";
let operator: HostOperator;
let proxy: ApiProxy;
let gateway: HostGateway;
let ghost: GhostNode;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "atoll-survival-"));
  operator = await startHostOperator();
  proxy = await startApiProxy(operator.cluster.kubeconfig);
  gateway = await startHostGateway(operator, { kubeconfig: await makeGatewayAccount(operator, proxy.url, directory) });
  ghost = await makeGhostNode(operator.client);
}, TEST_MS);
afterAll(async () => {
  await gateway?.dispose();
  await ghost?.dispose();
  await operator?.dispose();
  proxy?.close();
  rmSync(directory, { recursive: true });
}, TEST_MS);
afterEach(() => proxy.setOpen(true));

const ref = (name: string) => ({ name, namespace: operator.sandboxNamespace });

async function ask(method: string, path: string, body?: object): Promise<Answer> {
  const response = await fetch(gateway.url + path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    signal: AbortSignal.timeout(REQUEST_MS),
  });
  const text = await response.text();
  return { status: response.status, body: (text === "" ? {} : JSON.parse(text)) as Answer["body"] };
}

async function make(container: object = {}): Promise<string> {
  const made = await ask("POST", "/v1/sandboxes", {
    podTemplate: { containers: [{ image: TEST_IMAGE, ...container }] },
  });
  expect(made).toMatchObject({ status: 201, body: { status: "Running" } });
  return made.body.id;
}

/** Makes the object as another client of the cluster does. */
async function makeObject(name: string, podTemplate: SandboxResource["spec"]["podTemplate"]): Promise<void> {
  await operator.client.create(SANDBOXES, { metadata: ref(name), spec: { podTemplate } } as SandboxResource, call());
}

async function until(id: string, status: string): Promise<Answer> {
  return vi.waitUntil(async () => {
    const seen = await ask("GET", `/v1/sandboxes/${id}`);
    return seen.body["status"] === status && seen;
  }, WAIT);
}

async function untilGone(id: string): Promise<void> {
  await vi.waitUntil(async () => (await ask("GET", `/v1/sandboxes/${id}`)).status === 404, WAIT);
  const { items } = await operator.client.list(PODS, ref(id), call());
  expect(items.map(({ metadata }) => metadata.name)).not.toContain(podName(id));
}

/** A command that goes on, somebody who waits for its end, and somebody who reads what it writes. */
async function use(id: string, script: string): Promise<{ waiting: Promise<Answer>; reading: Promise<string> }> {
  const base = `/v1/sandboxes/${id}/commands`;
  const started = await ask("POST", base, { args: ["sh", "-c", script] });
  expect(started.status).toBe(202);
  const output = await fetch(`${gateway.url}${base}/${started.body.id}/stdout`);
  const reading = output.text().then(
    (text) => `whole: ${text}`,
    () => "broken",
  );
  const waiting = waitForEnd(id, started.body.id);
  // A test that fails before it looks has its own error to show.
  waiting.catch(() => undefined);
  return { waiting, reading };
}

/** As clients do: one that breaks off is asked again. */
async function waitForEnd(id: string, commandId: string): Promise<Answer> {
  for (;;) {
    const seen = await ask("GET", `/v1/sandboxes/${id}/commands/${commandId}/status?waitSeconds=20`);
    const isOn = seen.status === 200 && seen.body["exitCode"] === null;
    if (!isOn && seen.status !== 502) return seen;
  }
}

async function evict(id: string): Promise<void> {
  const { namespace } = ref(id);
  const path = `/api/v1/namespaces/${namespace}/pods/${podName(id)}/eviction`;
  const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: podName(id), namespace } };
  const { exitCode, stderr } = await operator.cluster.run(
    "kubectl",
    ["create", "--raw", path, "-f", "-"],
    JSON.stringify(eviction),
  );
  expect([exitCode, stderr]).toEqual([0, ""]);
}

/** All that a client and the cluster's owner are told of an end. */
async function expectEnd(id: string, reason: string, words: RegExp): Promise<void> {
  const { body } = await until(id, "Failed");
  expect(body).toMatchObject({ reason, message: expect.stringMatching(words) });
  const refused = await ask("POST", `/v1/sandboxes/${id}/commands`, { args: ["true"] });
  expect(refused.status).toBe(409);
  expect(refused.body["type"]).toBe("urn:atoll:problem:sandbox-ended");
  expect(refused.body.detail).toMatch(words);
  expect((await ask("GET", "/v1/sandboxes")).body["sandboxes"]).toContainEqual(
    expect.objectContaining({ id, status: "Failed" }),
  );
  const { status, metadata } = await operator.client.get(SANDBOXES, ref(id), call());
  expect(conditionOf(status, "Ready")).toMatchObject({ status: "False", message: expect.stringMatching(words) });
  await vi.waitUntil(async () => {
    const { items } = await operator.client.list(EVENTS, ref(id), call());
    return items.some(
      (event) =>
        event.regarding.uid === metadata.uid &&
        event.type === "Warning" &&
        event.reason === reason &&
        words.test(event.note ?? ""),
    );
  }, WAIT);
}

async function expectTold({ waiting, reading }: Awaited<ReturnType<typeof use>>, words: RegExp): Promise<void> {
  const late = new Promise<never>((_resolve, reject) => {
    setTimeout(() => reject(new Error("Who waits is not told of the end")), TOLD_MS).unref();
  });
  const [status, output] = await Promise.race([Promise.all([waiting, reading]), late]);
  expect(status).toMatchObject({ status: 409, body: { type: "urn:atoll:problem:sandbox-ended" } });
  expect(status.body.detail).toMatch(words);
  expect(output).toBe("broken");
}

async function removeEnded(id: string): Promise<void> {
  expect((await ask("DELETE", `/v1/sandboxes/${id}`)).status).toBe(204);
  await untilGone(id);
}

describe("the gateway and the operator", () => {
  it.each(["status", "event"] as const)(
    "find what came and went while the history of their watches was lost, told by the %s",
    async (how) => {
      const gone = await make();
      await proxy.setOpen(false);
      const refusals = proxy.loseHistory(how);
      await operator.client.remove(SANDBOXES, ref(gone), call());
      await makeObject(`came-${how}`, { spec: { containers: [{ name: "main", image: TEST_IMAGE }] } });
      await proxy.setOpen(true);
      await until(`came-${how}`, "Running");
      await untilGone(gone);
      // Sandboxes, pods, and the agents' keys.
      expect(refusals()).toBeGreaterThanOrEqual(3);
      expect((await ask("POST", `/v1/sandboxes/came-${how}/commands`, { args: ["true"] })).status).toBe(202);
      await removeEnded(`came-${how}`);
    },
    TEST_MS,
  );

  it(
    "say of an evicted pod that it was lost, and why, to who waits and who asks",
    async () => {
      const id = await make();
      const used = await use(id, "trap '' TERM; echo begun; sleep 600");
      await evict(id);
      await expectEnd(id, "SandboxLost", /Eviction API: evicting/);
      await expectTold(used, /Eviction API: evicting/);
      await removeEnded(id);
    },
    TEST_MS,
  );

  it(
    "say that an evicted sandbox has ended while the operator is away, too",
    async () => {
      const id = await make();
      const { waiting } = await use(id, "sleep 600");
      await operator.stop("SIGKILL");
      await evict(id);
      expect((await waiting).status).toBe(409);
      const run = () => ask("POST", `/v1/sandboxes/${id}/commands`, { args: ["true"] });
      expect(await run()).toMatchObject({ status: 409, body: { type: "urn:atoll:problem:sandbox-ended" } });
      await vi.waitUntil(() => operator.client.get(PODS, ref(podName(id)), call()).then(() => false, isNotFound), WAIT);
      expect(await run()).toMatchObject({ status: 409, body: { type: "urn:atoll:problem:sandbox-ended" } });
      await operator.start();
      await expectEnd(id, "SandboxLost", /its pod is gone/);
      await removeEnded(id);
    },
    TEST_MS,
  );

  it(
    "call it DiskPressure when kubelet ends a sandbox that writes more than its limit",
    async () => {
      const id = await make({ resources: { limits: { ephemeralStorage: "32Mi" } } });
      const used = await use(id, "trap '' TERM; head -c 134217728 /dev/zero > /big; echo written; sleep 600");
      await expectEnd(id, "DiskPressure", /ephemeral/i);
      await expectTold(used, /ephemeral/i);
      await removeEnded(id);
    },
    TEST_MS,
  );

  it.each([
    {
      what: "memory",
      reason: "PodFailed",
      message:
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. Container main was using 900Mi, request is 0, has larger consumption of memory. ",
    },
    {
      what: "disk",
      reason: "DiskPressure",
      message:
        "The node was low on resource: ephemeral-storage. Threshold quantity: 1, available: 0. Container main was using 10Gi, request is 0, has larger consumption of ephemeral-storage. ",
    },
  ])(
    "hand on kubelet's words when its node lacks $what",
    async ({ what, reason, message }) => {
      const id = `pressed-${what}`;
      await makeObject(id, ghost.podTemplate);
      await ghost.reportRunning(ref(id));
      await until(id, "Running");
      const evicted = { type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet", message } as const;
      await ghost.report(ref(id), { phase: "Failed", reason: "Evicted", message, conditions: [evicted] });
      await expectEnd(id, reason, /^(The sandbox .* has ended \(\w+\): )?The node ended the sandbox: The node was low/);
      await removeEnded(id);
    },
    TEST_MS,
  );

  it(
    "tell who waits for a sandbox whose node is lost, though nothing closes its connections",
    async () => {
      const id = "on-lost-node";
      await makeObject(id, ghost.podTemplate);
      await ghost.reportRunning(ref(id));
      await until(id, "Running");
      const waiting = waitForEnd(id, COMMAND);
      waiting.catch(() => undefined);
      await vi.waitUntil(() => ghost.heard.includes(COMMAND), WAIT);
      await ghost.lose();
      await expectEnd(id, "SandboxLost", /Taint manager/);
      await expectTold({ waiting, reading: Promise.resolve("broken") }, /Taint manager/);
      // Until its node is back or given up the pod may still run: the name is not free.
      expect((await ask("DELETE", `/v1/sandboxes/${id}`)).status).toBe(204);
      expect((await ask("GET", `/v1/sandboxes/${id}`)).status).toBe(200);
      await operator.client.remove(PODS, ref(podName(id)), call(), { gracePeriodSeconds: 0 });
      await untilGone(id);
    },
    TEST_MS,
  );
});
