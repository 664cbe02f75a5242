import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource, SandboxSpecResource } from "#api/crd/sandbox.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import { AGENT_CONTAINER, podName, RUNTIME_CLASS, RUNTIME_HANDLER } from "#core/kubernetes/names.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import { EVENTS, PODS, ROOTFS_SNAPSHOTS, RUNTIME_CLASSES, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf, sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { startHostOperator, type HostOperator } from "../harness/host-operator.ts";
import { call } from "./cluster.ts";
import { adminOf, post } from "./node-account.ts";

const WAIT = { timeout: 30_000, interval: 50 };
const TEST_MS = 120_000;
const RESTORES = { folder: "/var/lib/atoll/test-restores", port: 10_033 };
const DIGEST = `sha256:${"ab".repeat(32)}`;
const CONTAINER_ID = `containerd://${"0f".repeat(32)}`;
const SAVED: Partial<SandboxSpecResource> = {
  terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 60 } },
};

/** Nobody here is a scheduler, a kubelet or a mounter: the test plays them all. */
let plane: ControlPlane;
let operator: HostOperator;

beforeAll(async () => {
  // Nobody makes the service accounts that pods need, and no node is ever ready.
  plane = await startControlPlane({ apiServer: ["--disable-admission-plugins=ServiceAccount"] });
  vi.stubEnv("KUBECONFIG", plane.kubeconfig);
  const runtimeClass = { metadata: { name: RUNTIME_CLASS }, handler: RUNTIME_HANDLER };
  await adminOf(plane).create(RUNTIME_CLASSES, runtimeClass, call());
  operator = await startHostOperator({}, { restores: RESTORES, image: "registry.invalid/agent:1" });
}, TEST_MS);
afterAll(async () => {
  await operator?.stop();
  vi.unstubAllEnvs();
  await plane?.dispose();
}, TEST_MS);

const ref = (name: string) => ({ name, namespace: operator.sandboxNamespace });

async function find<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
}

const findSandbox = (name: string) => find(operator.client.get(SANDBOXES, ref(name), call()));
const findPod = (name: string) => find(operator.client.get(PODS, ref(podName(name)), call()));
const findRecord = (name: string) => find(operator.client.get(ROOTFS_SNAPSHOTS, ref(name), call()));
/** What is read as soon as it is something. */
const until = <T>(read: () => Promise<T>) => vi.waitUntil(read, WAIT) as Promise<NonNullable<T>>;

async function createSandbox(name: string, spec: Partial<SandboxSpecResource> = {}): Promise<Pod> {
  const podTemplate = { spec: { containers: [{ name: "main", image: "img:1" }] } };
  await operator.client.create(
    SANDBOXES,
    { metadata: ref(name), spec: { podTemplate, ...spec } } as SandboxResource,
    call(),
  );
  return until(() => findPod(name));
}

async function bind(name: string): Promise<void> {
  const path = `/api/v1/namespaces/${operator.sandboxNamespace}/pods/${podName(name)}/binding`;
  const target = { apiVersion: "v1", kind: "Node", name: "node-1" };
  await post(plane, path, { apiVersion: "v1", kind: "Binding", metadata: { name: podName(name) }, target });
}

/** Says of a pod what a kubelet says when all of its containers run. */
async function reportRunning(name: string, { spec }: Pod): Promise<void> {
  const startedAt = new Date().toISOString().replace(/\.\d+/, "");
  const running = (container: string, id: Partial<ContainerStatus>): ContainerStatus => ({
    name: container,
    ready: true,
    restartCount: 0,
    image: "img:1",
    imageID: "",
    state: { running: { startedAt } },
    ...id,
  });
  const agent = running(AGENT_CONTAINER, {});
  const main = running("main", { containerID: CONTAINER_ID, imageID: `registry/img@${DIGEST}` });
  const isHeld = spec.initContainers !== undefined;
  const status = {
    phase: "Running",
    startTime: startedAt,
    podIP: "10.0.0.9",
    podIPs: [{ ip: "10.0.0.9" }],
    conditions: [{ type: "Ready", status: "True" }],
    containerStatuses: isHeld ? [main] : [agent, main],
    ...(isHeld ? { initContainerStatuses: [agent] } : {}),
  };
  await operator.client.patch(PODS, ref(podName(name)), { status }, call(), { subresource: "status" });
}

async function runSandbox(name: string, spec: Partial<SandboxSpecResource> = {}): Promise<Pod> {
  const pod = await createSandbox(name, spec);
  await bind(name);
  await reportRunning(name, pod);
  await until(async () => sandboxState((await findSandbox(name)) as SandboxResource).phase === "Running");
  return pod;
}

/** Kubelet has ended the pod's processes. */
const endPod = (name: string) => operator.client.remove(PODS, ref(podName(name)), call(), { gracePeriodSeconds: 0 });

async function snapshot(name: string, sandboxName: string, spec: object = {}): Promise<void> {
  const object = { metadata: ref(name), spec: { sandboxName, ...spec } } as RootfsSnapshotResource;
  await operator.client.create(ROOTFS_SNAPSHOTS, object, call());
}

/** What a mounter writes. */
const mount = (name: string, status: object) =>
  operator.client.patch(ROOTFS_SNAPSHOTS, ref(name), { status }, call(), {
    fieldManager: "atoll-mounter",
    subresource: "status",
  });

const now = () => new Date().toISOString().replace(/\.\d+/, "");
const succeeded = () => ({
  completionTime: now(),
  snapshotKey: "k",
  writeId: "w",
  bytes: 1,
  conditions: [{ type: "Succeeded", status: "True", reason: "Succeeded", message: "", lastTransitionTime: now() }],
});

const assigned = (name: string) =>
  until(async () => {
    const record = await findRecord(name);
    return record?.status?.nodeName === undefined ? undefined : record;
  });

const endOf = (name: string) =>
  until(async () => {
    const end = conditionOf((await findRecord(name))?.status, "Succeeded");
    return end?.status === "Unknown" ? undefined : end;
  });

const holdOf = (name: string) =>
  until(async () => {
    const sandbox = await findSandbox(name);
    return conditionOf(sandbox?.status, "Ready")?.reason === "RootfsSnapshottingInProgress" ? sandbox : undefined;
  });

async function reasonsOf(uid: string | undefined): Promise<readonly string[]> {
  const { items } = await operator.client.list(EVENTS, { namespace: operator.sandboxNamespace }, call());
  return items.filter(({ regarding }) => regarding.uid === uid).map(({ reason }) => reason);
}

describe("records of snapshots, on an API server", () => {
  it(
    "are given to the node of their container, keep what others say, and go after their time",
    async () => {
      const pod = await runSandbox("plain");
      await snapshot("first", "plain", { ttlSecondsAfterFinished: 0 });
      const { status, metadata } = await assigned("first");
      expect(status).toMatchObject({
        nodeName: "node-1",
        podUid: pod.metadata.uid,
        containerName: "main",
        containerID: CONTAINER_ID,
        base: { image: "img:1", digest: DIGEST },
      });
      await mount("first", { progress: { phase: "Uploading", bytesDone: 1 } });
      await mount("first", succeeded());
      await until(async () => (await findRecord("first")) === undefined);
      await until(async () => (await reasonsOf(metadata.uid)).includes("SnapshotComplete"));
    },
    TEST_MS,
  );

  it.each([
    ["no sandbox", "absent", {}, "SandboxNotFound"],
    ["a container that is not there", "faulty", { containerName: "other" }, "ContainerNotFound"],
  ])(
    "fail at once for %s",
    async (_, sandbox, spec, reason) => {
      if (sandbox === "faulty") await runSandbox(sandbox);
      await snapshot(`of-${sandbox}`, sandbox, spec);
      expect(await endOf(`of-${sandbox}`)).toMatchObject({ status: "False", reason });
      expect((await findRecord(`of-${sandbox}`))?.status?.completionTime).toBeDefined();
    },
    TEST_MS,
  );

  it(
    "wait for their turn, and say so",
    async () => {
      await runSandbox("turns");
      await snapshot("turn-1", "turns", { snapshotName: "one-name" });
      await assigned("turn-1");
      await snapshot("turn-2", "turns", { snapshotName: "one-name" });
      const waits = await until(async () => conditionOf((await findRecord("turn-2"))?.status, "Succeeded"));
      expect(waits).toMatchObject({ status: "Unknown", reason: "WaitingForTurn" });
      await mount("turn-1", succeeded());
      const { status } = await assigned("turn-2");
      expect(conditionOf(status, "Succeeded")).toBeUndefined();
    },
    TEST_MS,
  );

  it(
    "end at their deadline, but not when they may have been published",
    async () => {
      await runSandbox("slow");
      await snapshot("late", "slow", { timeoutSeconds: 3, snapshotName: "late" });
      await snapshot("gated", "slow", { timeoutSeconds: 3, snapshotName: "gated" });
      const { metadata } = await assigned("late");
      await assigned("gated");
      const publishBy = new Date(Date.now() + 60_000).toISOString().replace(/\.\d+/, "");
      await mount("gated", { publishBy });
      expect(await endOf("late")).toMatchObject({ status: "False", reason: "DeadlineExceeded" });
      // The gate closes with the end: who would let it be published has another version in hand.
      const late = { metadata: { resourceVersion: metadata.resourceVersion }, status: { publishBy } };
      const patch = operator.client.patch(ROOTFS_SNAPSHOTS, ref("late"), late, call(), { subresource: "status" });
      await expect(patch).rejects.toMatchObject({ status: 409 });
      await sleep(2000);
      expect(conditionOf((await findRecord("gated"))?.status, "Succeeded")).toBeUndefined();
      await mount("gated", succeeded());
      expect(await endOf("gated")).toMatchObject({ status: "True" });
    },
    TEST_MS,
  );
});

describe("sandboxes that are saved at their end, on an API server", () => {
  it.each(["goes on", "is killed and started again"])(
    "hold their pod until the snapshot is over; the operator %s",
    async (what) => {
      const name = what === "goes on" ? "saved" : "saved-again";
      await runSandbox(name, SAVED);
      await operator.client.remove(SANDBOXES, ref(name), call());
      const held = await holdOf(name);
      expect(held?.status?.terminationDeadlineAt).toBeDefined();
      if (what !== "goes on") {
        await operator.stop("SIGKILL");
        await operator.start();
      }
      const record = await assigned(`${name}-termination`);
      expect(record.metadata.ownerReferences).toMatchObject([{ kind: "Sandbox", uid: held?.metadata.uid }]);
      expect(record.spec).toMatchObject({ sandboxName: name, snapshotName: name, ttlSecondsAfterFinished: 300 });
      expect((await findPod(name))?.metadata.deletionTimestamp).toBeUndefined();
      await mount(record.metadata.name, succeeded());
      const pod = await until(async () => {
        const found = await findPod(name);
        return found?.metadata.deletionTimestamp === undefined ? undefined : found;
      });
      expect(pod?.metadata.deletionGracePeriodSeconds).toBe(1);
      const said = conditionOf((await findSandbox(name))?.status, "RootfsSnapshot");
      expect(said).toMatchObject({ status: "True", reason: "RootfsSnapshotComplete" });
      await endPod(name);
      await until(async () => (await findSandbox(name)) === undefined);
      const kept = (await findRecord(record.metadata.name))?.metadata;
      expect([kept?.uid, kept?.ownerReferences]).toEqual([record.metadata.uid, undefined]);
      const told = await reasonsOf(held?.metadata.uid);
      // What a killed operator had not told yet is told by nobody.
      expect(told).toContain(what === "goes on" ? "RootfsSnapshotCreated" : "SnapshotSucceeded");
    },
    TEST_MS,
  );

  it(
    "are saved when others remove their pod, whose time is then cut short",
    async () => {
      await runSandbox("evicted", SAVED);
      await operator.client.remove(PODS, ref(podName("evicted")), call());
      await holdOf("evicted");
      expect((await findPod("evicted"))?.metadata.deletionGracePeriodSeconds).toBe(61);
      await assigned("evicted-termination");
      await mount("evicted-termination", succeeded());
      await until(async () => (await findPod("evicted"))?.metadata.deletionGracePeriodSeconds === 1);
      const { status } = (await findSandbox("evicted")) ?? {};
      expect(conditionOf(status, "Cause")?.reason).toBe("SandboxLost");
      expect(conditionOf(status, "RootfsSnapshot")?.reason).toBe("RootfsSnapshotComplete");
      await endPod("evicted");
    },
    TEST_MS,
  );

  it(
    "go at their deadline, though nobody takes the snapshot",
    async () => {
      const terminationPolicy = { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 3 } } as const;
      await runSandbox("alone", { terminationPolicy });
      await operator.client.remove(SANDBOXES, ref("alone"), call());
      await until(async () => (await findPod("alone"))?.metadata.deletionTimestamp !== undefined);
      const said = conditionOf((await findSandbox("alone"))?.status, "RootfsSnapshot");
      expect(["RootfsSnapshotTimeout", "RootfsSnapshotFailed"]).toContain(said?.reason);
      await endPod("alone");
      await until(async () => (await findSandbox("alone")) === undefined);
    },
    TEST_MS,
  );
});

describe("sandboxes that start from snapshots, on an API server", () => {
  const restores = (name: string, restore: object) => {
    const rootfsRestores = [{ containerName: "main", snapshotName: "s", ...restore }];
    const object = { metadata: ref(name), status: { rootfsRestores } } as unknown as SandboxResource;
    const write = { fieldManager: "atoll-mounter", subresource: "status" };
    return operator.client.apply(SANDBOXES, object, call(), write);
  };

  it.each([
    ["onto its image", "same", DIGEST, "Running"],
    ["onto another", "other", `sha256:${"cd".repeat(32)}`, "Failed"],
  ])(
    "are held in a pod that the fence lets pass, and run only as far as their nodes say: %s",
    async (_, name, digest, phase) => {
      const pod = await createSandbox(name, { rootfsSnapshotSources: [{ snapshotName: "s" }] });
      expect(pod.spec.initContainers?.map((container) => container.name)).toEqual([AGENT_CONTAINER]);
      await bind(name);
      await restores(name, { phase: "Waiting" });
      await until(async () => conditionOf((await findSandbox(name))?.status, "Ready")?.message.includes('"s"'));
      await reportRunning(name, pod);
      await sleep(500);
      expect(sandboxState((await findSandbox(name)) as SandboxResource).phase).toBe("Pending");
      await restores(name, { phase: "Ready", base: { image: "img:1", digest } });
      const found = await until(async () => {
        const sandbox = await findSandbox(name);
        return sandbox !== undefined && sandboxState(sandbox).phase === phase ? sandbox : undefined;
      });
      expect(found?.status?.rootfsRestores).toMatchObject([{ containerName: "main", phase: "Ready" }]);
      if (phase !== "Failed") return;
      expect(sandboxState(found)).toMatchObject({
        reason: "RootfsRestoreConfigurationError",
        message: expect.stringContaining(digest),
      });
    },
    TEST_MS,
  );
});

describe("an operator that takes no snapshots, on an API server", () => {
  it(
    "fails a record at once, and one that was there before it, and removes them after their time",
    async () => {
      const plain = await startHostOperator({}, { image: "registry.invalid/agent:1" });
      const at = (name: string) => ({ name, namespace: plain.sandboxNamespace });
      const make = async (name: string): Promise<void> => {
        const spec = { sandboxName: "none", ttlSecondsAfterFinished: 0 };
        await plain.client.create(ROOTFS_SNAPSHOTS, { metadata: at(name), spec } as RootfsSnapshotResource, call());
      };
      const read = (name: string) => find(plain.client.get(ROOTFS_SNAPSHOTS, at(name), call()));
      const end = (name: string) =>
        until(async () => {
          const said = conditionOf((await read(name))?.status, "Succeeded");
          return said?.status === "False" ? said : undefined;
        });
      try {
        await make("new");
        expect(await end("new")).toMatchObject({
          reason: "NotSupported",
          message: expect.stringContaining("no snapshots"),
        });
        await plain.stop();
        await make("before");
        await plain.start();
        expect(await end("before")).toMatchObject({ reason: "NotSupported" });
        await vi.waitUntil(async () => (await read("new")) === undefined && (await read("before")) === undefined, WAIT);
      } finally {
        await plain.dispose();
      }
    },
    TEST_MS,
  );
});
