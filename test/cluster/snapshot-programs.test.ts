import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxSpecResource } from "#api/crd/sandbox.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import { podName, restoreProbePath, RUNTIME_CLASS, RUNTIME_HANDLER, stopHookPath } from "#core/kubernetes/names.ts";
import { PODS, ROOTFS_SNAPSHOTS, RUNTIME_CLASSES, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf, sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { startHostOperator, type HostOperator } from "../harness/host-operator.ts";
import { call } from "./cluster.ts";
import { startMounterStage, type MounterStage } from "./mounter-stage.ts";
import { bindPod, DIGEST, reportRunning } from "./stand-in-kubelet.ts";

const WAIT = { timeout: 60_000, interval: 50 };
const TEST_MS = 180_000;
const OTHER_DIGEST = `sha256:${"cd".repeat(32)}`;
const SAVED: Partial<SandboxSpecResource> = {
  terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: { snapshotName: "at-the-end", timeoutSeconds: 60 } },
};

/** Operator and mounter as processes, on an API server of their own. The test is scheduler and kubelet. */
let stage: MounterStage;
let operator: HostOperator;

beforeAll(async () => {
  stage = await startMounterStage();
  vi.stubEnv("KUBECONFIG", stage.kubeconfig);
  const runtimeClass = { metadata: { name: RUNTIME_CLASS }, handler: RUNTIME_HANDLER };
  await stage.admin.create(RUNTIME_CLASSES, runtimeClass, call());
  await stage.start();
  const restores = { folder: stage.restoreFolder, port: stage.port };
  const image = "registry.invalid/agent:1";
  operator = await startHostOperator({}, { restores, image, sandboxNamespace: stage.namespace });
}, TEST_MS);
afterAll(async () => {
  await operator?.stop();
  vi.unstubAllEnvs();
  await stage?.dispose();
}, TEST_MS);

const ref = (name: string) => ({ name, namespace: stage.namespace });

async function find<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
}

const findSandbox = (name: string) => find(stage.admin.get(SANDBOXES, ref(name), call()));
const findPod = (name: string) => find(stage.admin.get(PODS, ref(podName(name)), call()));
const findRecord = (name: string) => find(stage.admin.get(ROOTFS_SNAPSHOTS, ref(name), call()));
/** What is read as soon as it is something. */
const until = <T>(read: () => Promise<T>) => vi.waitUntil(read, WAIT) as Promise<NonNullable<T>>;

async function create(name: string, spec: Partial<SandboxSpecResource> = {}): Promise<string> {
  const podTemplate = { spec: { containers: [{ name: "main", image: "img:1" }] } };
  const object = { metadata: ref(name), spec: { podTemplate, startupTimeoutSeconds: 90, ...spec } };
  const made = await stage.admin.create(SANDBOXES, object, call());
  await until(() => findPod(name));
  await bindPod(stage, name);
  return made.metadata.uid ?? "";
}

/** Says of a pod what kubelet says when all of its containers run, this one of this image. */
const report = (name: string, digest: string): Promise<void> => reportRunning(stage, name, { digest });

const untilPhase = (name: string, phase: string) =>
  until(async () => {
    const sandbox = await findSandbox(name);
    return sandbox !== undefined && sandboxState(sandbox).phase === phase ? sandbox : undefined;
  });

async function running(name: string, spec: Partial<SandboxSpecResource> = {}): Promise<string> {
  const uid = await create(name, spec);
  await report(name, DIGEST);
  await untilPhase(name, "Running");
  return uid;
}

async function snapshot(name: string, sandboxName: string, spec: object = {}): Promise<void> {
  const object = { metadata: ref(name), spec: { sandboxName, ...spec } } as RootfsSnapshotResource;
  await stage.admin.create(ROOTFS_SNAPSHOTS, object, call());
}

const endOf = (name: string) =>
  until(async () => {
    const record = await findRecord(name);
    const end = conditionOf(record?.status, "Succeeded");
    return end === undefined || end.status === "Unknown" ? undefined : record;
  });

const ownerOf = (sandboxUid: string) => ({ namespace: stage.namespace, sandboxUid });

describe("operator and mounter together", () => {
  it(
    "take a snapshot, whose data stays when its record goes",
    async () => {
      await running("work");
      await snapshot("first", "work", { snapshotName: "kept", ttlSecondsAfterFinished: 0 });
      const { status, metadata } = await endOf("first");
      expect(conditionOf(status, "Succeeded")).toMatchObject({ status: "True" });
      expect(status).toMatchObject({
        writeId: metadata.uid,
        snapshotKey: `rootfssnapshots/${stage.namespace}/kept.json`,
        base: { image: "img:1", digest: DIGEST },
        containerName: "main",
      });
      await until(async () => (await findRecord("first")) === undefined);
      expect(await stage.stored()).toContain("kept.json");
    },
    TEST_MS,
  );

  it.each([
    ["its image", "again", DIGEST, "Running"],
    ["another image", "astray", OTHER_DIGEST, "Failed"],
  ])(
    "start a sandbox from it onto %s",
    async (_, name, digest, phase) => {
      const uid = await create(name, { rootfsSnapshotSources: [{ snapshotName: "kept" }] });
      expect(await stage.ask(restoreProbePath(ownerOf(uid)), AbortSignal.timeout(WAIT.timeout))).toBe(200);
      expect(await stage.restored(uid)).toContain("main.tar");
      await report(name, digest);
      const found = await untilPhase(name, phase);
      if (phase === "Failed") {
        expect(sandboxState(found)).toMatchObject({
          reason: "RootfsRestoreConfigurationError",
          message: expect.stringContaining(OTHER_DIGEST),
        });
      } else {
        expect(found.status?.rootfsRestores).toMatchObject([{ containerName: "main", phase: "Ready" }]);
      }
    },
    TEST_MS,
  );

  it.each(["deleted", "evicted"])(
    "save a sandbox that is %s before its container stops",
    async (what) => {
      const name = `saved-${what}`;
      const uid = await running(name, SAVED);
      await stage.holdSaves();
      await (what === "deleted"
        ? stage.admin.remove(SANDBOXES, ref(name), call())
        : stage.admin.remove(PODS, ref(podName(name)), call()));
      const hook = stage.ask(stopHookPath(ownerOf(uid)), AbortSignal.timeout(WAIT.timeout));
      await until(async () => (await findRecord(`${name}-termination`))?.status?.nodeName !== undefined);
      const isHeld = await Promise.race([hook.then(() => false), endSoon()]);
      expect(isHeld).toBe(true);
      await stage.letSave();
      expect(await hook).toBe(200);
      await until(async () => (await findPod(name))?.metadata.deletionGracePeriodSeconds === 1);
      expect(conditionOf((await findSandbox(name))?.status, "RootfsSnapshot")?.reason).toBe("RootfsSnapshotComplete");
      expect(await stage.stored()).toContain("at-the-end.json");
      await stage.admin.remove(PODS, ref(podName(name)), call(), { gracePeriodSeconds: 0 });
      if (what === "deleted") await until(async () => (await findSandbox(name)) === undefined);
    },
    TEST_MS,
  );

  it(
    "bring every snapshot to its end while both are killed again and again",
    async () => {
      await running("busy");
      const names = Array.from({ length: 12 }, (_, index) => `busy-${index}`);
      let isOver = false;
      const killing = async (): Promise<void> => {
        for (let turn = 0; !isOver; turn += 1) {
          const victim = turn % 2 === 0 ? stage : undefined;
          await (victim === undefined ? operator.stop("SIGKILL") : victim.kill());
          await (victim === undefined ? operator.start() : victim.start());
        }
      };
      const killer = killing();
      const ends: RootfsSnapshotResource[] = [];
      // Two by two write one name.
      for (const [index, name] of names.entries()) await snapshot(name, "busy", { snapshotName: `name-${index >> 1}` });
      for (const name of names) ends.push(await endOf(name));
      isOver = true;
      await killer;
      expect(ends.map(({ status }) => conditionOf(status, "Succeeded")?.status)).toEqual(names.map(() => "True"));
      const stored = await stage.stored();
      for (const [index, { status }] of ends.entries()) {
        expect(stored).toContain(`name-${index >> 1}.json`);
        expect(status?.writeId).toBe(ends[index]?.metadata.uid);
      }
    },
    TEST_MS,
  );
});

/** True when nothing came of it for a while. */
async function endSoon(): Promise<true> {
  await new Promise((resolve) => setTimeout(resolve, 2000));
  return true;
}
