import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { SandboxResource, SandboxSpecResource } from "#api/crd/sandbox.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import { AGENT_CONTAINER, podName, restorePath, restoreProbePath, stopHookPath } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf, sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { startKubeletAnswers, type KubeletAnswers } from "../harness/kubelet-answers.ts";
import { openTestbed } from "../harness/testbed.ts";
import { startHostOperator, type HostOperator } from "../harness/host-operator.ts";
import { KILL_AGENT } from "../harness/restart-agent.ts";
import { call } from "./cluster.ts";

const WAIT = { timeout: 90_000, interval: 100 };
const TEST_MS = 180_000;
const run = promisify(execFile);

/** The test is the node's mounter. */
let answers: KubeletAnswers;
let operator: HostOperator;
let folder: string;

beforeAll(async () => {
  const { layout } = await openTestbed();
  // The node sees the testbed's folder under the same name.
  folder = await mkdtemp(join(layout.root, "test-restores-"));
  answers = await startKubeletAnswers(join(folder, "answers"));
  const restores = { folder, port: answers.port };
  operator = await startHostOperator({ ATOLL_TIMEOUT_RETENTION_SECONDS: "30" }, { restores });
}, TEST_MS);
afterAll(async () => {
  await operator?.dispose();
  await answers?.dispose();
  await rm(folder, { recursive: true, force: true });
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

/** The sandbox as soon as it is as wanted. */
async function until(name: string, is: (sandbox: SandboxResource) => boolean): Promise<SandboxResource> {
  return vi.waitUntil(async () => {
    const found = await findSandbox(name);
    return found !== undefined && is(found) && found;
  }, WAIT);
}

const phaseOf = (sandbox: SandboxResource) => sandboxState(sandbox).phase;

async function create(name: string, script: string, spec: Partial<SandboxSpecResource>): Promise<string> {
  const podTemplate = { spec: { containers: [{ name: "main", image: TEST_IMAGE, command: ["sh", "-c", script] }] } };
  const object = { metadata: ref(name), spec: { podTemplate, startupTimeoutSeconds: 120, ...spec } };
  const made = await operator.client.create(SANDBOXES, object, call());
  return made.metadata.uid ?? "";
}

const ownerOf = (sandboxUid: string) => ({ namespace: operator.sandboxNamespace, sandboxUid });

/** The archive of a snapshot that holds one file, and the word of the node that it is there. */
async function restore(name: string, uid: string, content: string): Promise<void> {
  const path = restorePath(folder, ownerOf(uid), "main");
  const root = join(folder, `${uid}.root`);
  await mkdir(root);
  await writeFile(join(root, "restored"), content);
  await mkdir(dirname(path), { recursive: true });
  await run("tar", ["--format=pax", "--owner=0", "--group=0", "-cf", `${path}.part`, "-C", root, "."]);
  await rename(`${path}.part`, path);
  const rootfsRestores = [{ containerName: "main", snapshotName: "s", phase: "Ready" }];
  const object = { metadata: ref(name), status: { rootfsRestores } } as unknown as SandboxResource;
  await operator.client.apply(SANDBOXES, object, call(), { fieldManager: "atoll-mounter", subresource: "status" });
  await answers.allow(restoreProbePath(ownerOf(uid)));
}

const now = () => new Date().toISOString().replace(/\.\d+/, "");

/** What the mounter says of a record that it is done with. */
async function succeed(name: string): Promise<void> {
  const conditions = [
    { type: "Succeeded", status: "True", reason: "Succeeded", message: "", lastTransitionTime: now() },
  ];
  const status = { completionTime: now(), snapshotKey: "k", writeId: "w", bytes: 1, conditions };
  await operator.client.patch(ROOTFS_SNAPSHOTS, ref(name), { status }, call(), { subresource: "status" });
}

const assigned = (name: string) =>
  vi.waitUntil(async () => (await findRecord(name))?.status?.containerID !== undefined, WAIT);
const isRunning = (pod: Pod | undefined) =>
  pod?.status?.containerStatuses?.find(({ name }) => name === "main")?.state?.running !== undefined;

const saved = (timeoutSeconds: number): Partial<SandboxSpecResource> => ({
  terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds } },
});
const RESTORED: Partial<SandboxSpecResource> = { rootfsSnapshotSources: [{ snapshotName: "s" }] };

describe("a sandbox that starts from a snapshot", () => {
  it(
    "has its containers held until its archive is there, starts from it, and ends when they do",
    async () => {
      const uid = await create("restored", 'sleep 5; [ "$(cat /restored)" = kept ] && exit 7', RESTORED);
      await vi.waitUntil(() => answers.wasAsked(restoreProbePath(ownerOf(uid))), WAIT);
      await vi.waitUntil(async () => (await findPod("restored"))?.status?.podIP !== undefined, WAIT);
      await sleep(2000);
      const held = await findPod("restored");
      expect(held?.status?.containerStatuses?.[0]?.state?.waiting?.reason).toBe("PodInitializing");
      expect(phaseOf((await findSandbox("restored")) as SandboxResource)).toBe("Pending");
      await restore("restored", uid, "kept");
      await until("restored", (sandbox) => phaseOf(sandbox) === "Running");
      const ended = await until("restored", (sandbox) => phaseOf(sandbox) === "Failed");
      expect(sandboxState(ended).message).toContain("exited with code 7");
      await vi.waitUntil(async () => (await findPod("restored")) === undefined, WAIT);
    },
    TEST_MS,
  );

  it(
    "keeps its agent, which its supervisor brings back and not kubelet",
    async () => {
      const script = `sleep 4; ${KILL_AGENT}; touch /tmp/done; sleep infinity`;
      const uid = await create("killed", script, RESTORED);
      await vi.waitUntil(() => answers.wasAsked(restoreProbePath(ownerOf(uid))), WAIT);
      await restore("killed", uid, "kept");
      await until("killed", (sandbox) => phaseOf(sandbox) === "Running");
      await sleep(8000);
      const agent = (await findPod("killed"))?.status?.initContainerStatuses?.find(
        ({ name }) => name === AGENT_CONTAINER,
      );
      expect(agent).toMatchObject({ restartCount: 0, ready: true });
      expect(phaseOf((await findSandbox("killed")) as SandboxResource)).toBe("Running");
      await operator.client.remove(SANDBOXES, ref("killed"), call());
      await vi.waitUntil(async () => (await findSandbox("killed")) === undefined, WAIT);
    },
    TEST_MS,
  );

  it(
    "goes at once when it is deleted while it is held, and fails when its snapshot never comes",
    async () => {
      const uid = await create("held", "sleep infinity", RESTORED);
      await vi.waitUntil(() => answers.wasAsked(restoreProbePath(ownerOf(uid))), WAIT);
      await operator.client.remove(SANDBOXES, ref("held"), call());
      await vi.waitUntil(async () => (await findSandbox("held")) === undefined, WAIT);
      await create("never", "sleep infinity", { ...RESTORED, startupTimeoutSeconds: 5 });
      const ended = await until("never", (sandbox) => phaseOf(sandbox) === "Failed");
      expect(sandboxState(ended)).toMatchObject({
        reason: "StartupTimeoutExceeded",
        message: expect.stringContaining('the snapshot "s"'),
      });
    },
    TEST_MS,
  );
});

describe("a sandbox that is saved at its end", () => {
  it(
    "runs on until the snapshot is over, and goes then; the operator is killed in between",
    async () => {
      const uid = await create("saved", "sleep infinity", saved(60));
      await until("saved", (sandbox) => phaseOf(sandbox) === "Running");
      await operator.client.remove(SANDBOXES, ref("saved"), call());
      await assigned("saved-termination");
      await operator.stop("SIGKILL");
      await sleep(2000);
      await operator.start();
      const pod = await findPod("saved");
      expect([isRunning(pod), pod?.metadata.deletionTimestamp]).toEqual([true, undefined]);
      await answers.allow(stopHookPath(ownerOf(uid)));
      await succeed("saved-termination");
      await vi.waitUntil(async () => (await findSandbox("saved")) === undefined, WAIT);
      // It tells for some time yet what became of the snapshot.
      await sleep(2000);
      expect((await findRecord("saved-termination"))?.metadata).not.toHaveProperty("ownerReferences");
    },
    TEST_MS,
  );

  it(
    "is saved first when its lifetime is over",
    async () => {
      await create("timed", "sleep infinity", { ...saved(60), timeoutSeconds: 8 });
      await assigned("timed-termination");
      expect(isRunning(await findPod("timed"))).toBe(true);
      await succeed("timed-termination");
      const ended = await until("timed", (sandbox) => phaseOf(sandbox) === "Succeeded");
      expect(sandboxState(ended).reason).toBe("Timeout");
      expect(conditionOf(ended.status, "RootfsSnapshot")?.reason).toBe("RootfsSnapshotComplete");
      await vi.waitUntil(async () => (await findPod("timed")) === undefined, WAIT);
    },
    TEST_MS,
  );

  it(
    "is saved before it stops when somebody else removes its pod",
    async () => {
      const uid = await create("evicted", "sleep infinity", saved(20));
      await until("evicted", (sandbox) => phaseOf(sandbox) === "Running");
      await operator.client.remove(PODS, ref(podName("evicted")), call());
      await vi.waitUntil(() => answers.wasAsked(stopHookPath(ownerOf(uid))), WAIT);
      await assigned("evicted-termination");
      await sleep(3000);
      expect(isRunning(await findPod("evicted"))).toBe(true);
      await succeed("evicted-termination");
      const lost = await until("evicted", (sandbox) => phaseOf(sandbox) === "Failed");
      expect(sandboxState(lost).reason).toBe("SandboxLost");
      expect(conditionOf(lost.status, "RootfsSnapshot")?.reason).toBe("RootfsSnapshotComplete");
      await answers.allow(stopHookPath(ownerOf(uid)));
      // The agent ignores the polite signal, and kubelet lets a removal that goes on take its time.
      await vi.waitUntil(async () => (await findPod("evicted")) === undefined, WAIT);
    },
    TEST_MS,
  );

  it(
    "goes at its deadline although nobody takes the snapshot and nobody answers kubelet",
    async () => {
      await create("alone", "sleep infinity", saved(5));
      await until("alone", (sandbox) => phaseOf(sandbox) === "Running");
      await operator.client.remove(SANDBOXES, ref("alone"), call());
      await vi.waitUntil(async () => (await findSandbox("alone")) === undefined, WAIT);
      expect(await findPod("alone")).toBeUndefined();
    },
    TEST_MS,
  );
});
