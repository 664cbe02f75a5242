import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { SandboxResource, SandboxSpecResource } from "#api/crd/sandbox.ts";
import type { AdmissionPolicyBinding } from "#core/kubernetes/cluster-objects.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import { conditionOf, sandboxState } from "#core/kubernetes/sandbox-state.ts";
import {
  EVENTS,
  NETWORK_POLICIES,
  PODS,
  SANDBOXES,
  VALIDATING_ADMISSION_POLICY_BINDINGS,
} from "#core/kubernetes/resources.ts";
import { MISSING_IMAGE, TEST_IMAGE } from "../harness/cluster-images.ts";
import { startHostOperator, type HostOperator } from "../harness/host-operator.ts";
import { call } from "./cluster.ts";

const WAIT = { timeout: 60_000, interval: 100 };
const TEST_MS = 120_000;
const MIB = 2 ** 20;

let operator: HostOperator;

beforeAll(async () => {
  operator = await startHostOperator({ ATOLL_TIMEOUT_RETENTION_SECONDS: "1" });
}, TEST_MS);
afterAll(() => operator?.dispose(), TEST_MS);

const ref = (name: string) => ({ name, namespace: operator.sandboxNamespace });

async function create(name: string, spec: Partial<SandboxSpecResource> & { container?: object } = {}): Promise<void> {
  const { container = {}, ...rest } = spec;
  const podTemplate = { spec: { containers: [{ name: "main", image: TEST_IMAGE, ...container }] } };
  const object = { metadata: ref(name), spec: { podTemplate, ...rest } } as unknown as SandboxResource;
  await operator.client.create(SANDBOXES, object, call());
}

async function find<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
}

const findSandbox = (name: string) => find(operator.client.get(SANDBOXES, ref(name), call()));
const findPod = (name: string) => find(operator.client.get(PODS, ref(`${name}-pod`), call()));

/** The sandbox as soon as it is in one of these phases. */
async function until(name: string, ...phases: readonly string[]): Promise<SandboxResource> {
  return vi.waitUntil(async () => {
    const found = await findSandbox(name);
    return found !== undefined && phases.includes(sandboxState(found).phase) && found;
  }, WAIT);
}

async function untilGone(...names: readonly string[]): Promise<void> {
  await vi.waitUntil(async () => {
    const found = await Promise.all(names.flatMap((name) => [findSandbox(name), findPod(name)]));
    return found.every((object) => object === undefined);
  }, WAIT);
}

describe("the operator", () => {
  it(
    "runs a sandbox, says all of it at once, and leaves nothing when it is deleted",
    async () => {
      await create("plain", { timeoutSeconds: 3600 });
      const { status, metadata } = await until("plain", "Running");
      const pod = await findPod("plain");
      expect(pod?.spec.containers.map(({ name }) => name)).toEqual(["sandbox-sidecar", "main"]);
      expect(metadata.finalizers).toEqual(["sandbox.isola.run/cleanup"]);
      expect(status).toMatchObject({ podIP: pod?.status?.podIP, sidecarVersion: expect.any(String) });
      const lifetimeMs = Date.parse(status?.timeoutAt ?? "") - Date.parse(pod?.status?.startTime ?? "");
      expect(lifetimeMs).toBe(3_600_000);
      expect(["PodReady", "NetworkConfigured"].map((type) => conditionOf(status, type)?.status)).toEqual([
        "True",
        "True",
      ]);
      await vi.waitUntil(async () => {
        const { items } = await operator.client.list(EVENTS, { namespace: operator.sandboxNamespace }, call());
        return items.some(({ reason, regarding }) => reason === "PodCreated" && regarding.uid === metadata.uid);
      }, WAIT);
      await operator.client.remove(SANDBOXES, ref("plain"), call());
      await untilGone("plain");
    },
    TEST_MS,
  );

  it.concurrent.each<{ name: string; spec: Parameters<typeof create>[1]; state: object; contract?: string }>([
    {
      name: "exit-0",
      spec: { container: { command: ["sh", "-c", "exit 0"] } },
      state: { phase: "Succeeded", reason: "PodSucceeded" },
    },
    {
      name: "exit-3",
      spec: { container: { command: ["sh", "-c", "exit 3"] } },
      state: { phase: "Failed", reason: "PodFailed", message: 'The container "main" exited with code 3.' },
    },
    {
      name: "no-image",
      spec: { container: { image: MISSING_IMAGE } },
      state: { phase: "Failed", reason: "ImageNotFound", message: expect.stringContaining(MISSING_IMAGE) },
      contract: "PodFailed",
    },
    {
      name: "no-registry",
      spec: { container: { image: "localhost:1/none:1" }, startupTimeoutSeconds: 15 },
      state: {
        phase: "Failed",
        reason: "StartupTimeoutExceeded",
        message: expect.stringContaining("localhost:1/none:1 cannot be pulled: the registry cannot be reached."),
      },
    },
    {
      name: "no-command",
      spec: { container: { command: ["/not/there"] } },
      state: { phase: "Failed", reason: "CommandNotFound" },
      contract: "PodFailed",
    },
    {
      name: "no-memory",
      spec: {
        container: {
          command: ["python3", "-c", `x = []\nwhile True: x.append(bytearray(b'x') * ${16 * MIB})`],
          resources: { limits: { memory: "64Mi" } },
        },
      },
      state: { phase: "Failed", reason: "OutOfMemory" },
      contract: "PodFailed",
    },
    {
      name: "no-node",
      spec: { startupTimeoutSeconds: 3, podTemplate: nowhere() },
      state: { phase: "Failed", reason: "StartupTimeoutExceeded", message: expect.stringContaining("No node") },
    },
    {
      name: "blocked",
      spec: { network: { allowedEgressCIDRs: ["10.0.0.0/8"] } },
      state: { phase: "Failed", reason: "NetworkPolicyFailed" },
    },
    {
      name: "restore",
      spec: { rootfsSnapshotSources: [{ snapshotName: "s" }] },
      state: { phase: "Failed", reason: "RootfsRestoreConfigurationError" },
    },
  ])(
    "ends $name as $state.reason and keeps the record without the pod",
    async ({ name, spec = {}, state, contract }) => {
      await create(name, spec);
      const ended = await until(name, "Succeeded", "Failed");
      expect(sandboxState(ended)).toMatchObject(state);
      const { reason } = sandboxState(ended);
      expect(conditionOf(ended.status, "Succeeded")?.reason).toBe(contract ?? reason);
      expect(ended.status?.podIP).toBeUndefined();
      await vi.waitUntil(async () => (await findPod(name)) === undefined, WAIT);
      expect(await findSandbox(name)).toBeDefined();
    },
    TEST_MS,
  );

  it(
    "ends a lifetime as Succeeded, and removes the object soon after",
    async () => {
      await create("short", { timeoutSeconds: 4 });
      expect(sandboxState(await until("short", "Succeeded", "Failed"))).toMatchObject({ reason: "Timeout" });
      await untilGone("short");
    },
    TEST_MS,
  );

  it(
    "fails a sandbox whose pod others remove, and makes no second one",
    async () => {
      await create("robbed");
      await until("robbed", "Running");
      await operator.client.remove(PODS, ref("robbed-pod"), call());
      const lost = await until("robbed", "Failed");
      expect(sandboxState(lost)).toMatchObject({ reason: "SandboxLost" });
      await vi.waitUntil(async () => (await findPod("robbed")) === undefined, WAIT);
      await operator.client.remove(SANDBOXES, ref("robbed"), call());
      await untilGone("robbed");
    },
    TEST_MS,
  );

  it(
    "ends a sandbox that is deleted while it starts",
    async () => {
      await create("hasty");
      await vi.waitUntil(() => findPod("hasty"), WAIT);
      await operator.client.remove(SANDBOXES, ref("hasty"), call());
      await untilGone("hasty");
      expect(await findPod("hasty")).toBeUndefined();
    },
    TEST_MS,
  );

  it(
    "puts a sandbox's own policy back",
    async () => {
      const policy = ref("ranges-custom-netpol");
      const read = () => find(operator.client.get(NETWORK_POLICIES, policy, call()));
      await create("ranges", { network: { allowedEgressCIDRs: ["1.0.0.0/8"] } });
      await until("ranges", "Running");
      const first = await read();
      await operator.client.remove(NETWORK_POLICIES, policy, call());
      const second = await vi.waitUntil(read, WAIT);
      expect(second.metadata.uid).not.toBe(first?.metadata.uid);
      expect(second.spec).toEqual(first?.spec);
    },
    TEST_MS,
  );

  it(
    "makes no pod while the fence is down, and goes on when it stands",
    async () => {
      const { items } = await operator.client.list(VALIDATING_ADMISSION_POLICY_BINDINGS, {}, call());
      const ours = items.find(({ metadata, spec }) => metadata.name.endsWith("-pods") && bindsTo(spec));
      if (ours === undefined) throw new TypeError("No binding fences the namespace");
      await operator.client.remove(VALIDATING_ADMISSION_POLICY_BINDINGS, ours.metadata, call());
      await vi.waitUntil(() => operator.log().includes("is down"), WAIT);
      await create("fenced");
      const held = await vi.waitUntil(async () => {
        const found = await findSandbox("fenced");
        return conditionOf(found?.status, "Ready")?.message.includes("admission policy") && found;
      }, WAIT);
      expect(sandboxState(held).phase).toBe("Pending");
      expect(await findPod("fenced")).toBeUndefined();
      const { name } = ours.metadata;
      await operator.client.create(
        VALIDATING_ADMISSION_POLICY_BINDINGS,
        { metadata: { name }, spec: ours.spec },
        call(),
      );
      await until("fenced", "Running");
    },
    TEST_MS,
  );

  it(
    "goes on where it was after kill -9 at any moment",
    async () => {
      const names = Array.from({ length: 4 }, (_, index) => `killed-${index}`);
      const random = (most: number): number => Math.floor(Math.random() * most);
      const killed = async (work: () => Promise<unknown>): Promise<void> => {
        const working = work();
        for (let turn = 0; turn < 3; turn += 1) {
          await sleep(random(700));
          await operator.stop("SIGKILL");
          await operator.start();
        }
        await working;
      };
      await killed(() => Promise.all(names.map((name) => create(name))));
      const running = await Promise.all(names.map((name) => until(name, "Running", "Failed", "Succeeded")));
      expect(running.map((sandbox) => sandboxState(sandbox).phase)).toEqual(names.map(() => "Running"));
      const remove = (name: string) => operator.client.remove(SANDBOXES, ref(name), call());
      await killed(() => Promise.all(names.map(remove)));
      await untilGone(...names);
    },
    TEST_MS,
  );
});

function nowhere(): SandboxSpecResource["podTemplate"] {
  const containers = [{ name: "main", image: TEST_IMAGE }];
  return { spec: { containers, nodeSelector: { "test.invalid/nowhere": "true" } } };
}

function bindsTo({ matchResources }: AdmissionPolicyBinding["spec"]): boolean {
  const rules = matchResources?.namespaceSelector?.matchExpressions ?? [];
  return rules.some(({ values }) => values.includes(operator.sandboxNamespace));
}
