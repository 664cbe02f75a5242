import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { podName, RUNTIME_CLASS, RUNTIME_HANDLER } from "#core/kubernetes/names.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import { PODS, RUNTIME_CLASSES } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import type { ContainerSpec, Sandbox } from "#core/sandbox.ts";
import { isFinished, type Snapshot } from "#core/snapshot/snapshot.ts";
import type { SandboxBackend, SnapshotBackend } from "#runtime/backend/port.ts";
import { openBackend } from "../harness/cluster-backend.ts";
import { startHostOperator, type HostOperator } from "../harness/host-operator.ts";
import { until } from "../harness/until.ts";
import { call } from "./cluster.ts";
import { startMounterStage, type MounterStage } from "./mounter-stage.ts";
import { bindPod, endPod, IMAGE, reportRunning } from "./stand-in-kubelet.ts";

const SET_UP_MS = 180_000;
const CASE_MS = 90_000;
const PATIENCE = { timeoutMs: 60_000 };

/** Gateway, operator and mounter as they are installed, on an API server of their own. The test is scheduler and kubelet. */
let stage: MounterStage;
let operator: HostOperator;
let backend: SandboxBackend;
let snapshots: SnapshotBackend;

beforeAll(async () => {
  stage = await startMounterStage();
  vi.stubEnv("KUBECONFIG", stage.kubeconfig);
  const runtimeClass = { metadata: { name: RUNTIME_CLASS }, handler: RUNTIME_HANDLER };
  await stage.admin.create(RUNTIME_CLASSES, runtimeClass, call());
  await stage.start();
  const restores = { folder: stage.restoreFolder, port: stage.port };
  const image = "registry.invalid/agent:1";
  operator = await startHostOperator({}, { restores, image, sandboxNamespace: stage.namespace });
  const installation = { ...operator, sandboxNamespace: stage.namespace, hasSnapshots: true };
  backend = await openBackend(installation);
  if (backend.snapshots === undefined) throw new Error("It takes no snapshots");
  snapshots = backend.snapshots;
}, SET_UP_MS);
afterAll(async () => {
  await backend?.close();
  await operator?.stop();
  vi.unstubAllEnvs();
  await stage?.dispose();
}, SET_UP_MS);

const port = () => ({ signal: AbortSignal.timeout(CASE_MS), log: silentLog });
const absent = { slug: "snapshot-not-found" };

const isPodThere = async (name: string): Promise<boolean> =>
  stage.admin.get(PODS, { name: podName(name), namespace: stage.namespace }, call()).then(
    () => true,
    (error: unknown) => {
      if (isNotFound(error)) return false;
      throw error;
    },
  );

async function begin(id: string, ...containers: readonly Partial<ContainerSpec>[]): Promise<void> {
  const all = containers.map((container, i) => ({
    name: i === 0 ? "main" : `side${i}`,
    image: IMAGE,
    env: {},
    ...container,
  }));
  await backend.create({ id, spec: { containers: all, startupTimeoutSeconds: 90 }, requestDigest: "d" }, port());
  await until(() => isPodThere(id), Boolean, PATIENCE);
  await bindPod(stage, id);
}

const sandboxIs = (id: string, wanted: (sandbox: Sandbox) => boolean): Promise<Sandbox> =>
  until(() => backend.get(id, port()), wanted, PATIENCE);

async function running(id: string, container: Partial<ContainerSpec> = {}): Promise<void> {
  await begin(id, container);
  await reportRunning(stage, id);
  await sandboxIs(id, ({ phase }) => phase === "Running");
}

const take = (id: string, sandboxId: string, snapshotName: string): Promise<Snapshot> => {
  const spec = { sandboxId, snapshotName, timeoutSeconds: 60, ttlSecondsAfterFinished: 300 };
  return snapshots.create({ id, spec, requestDigest: "digest" }, port());
};

/** All states that a watch sees until the end. */
async function statesOf(id: string): Promise<readonly Snapshot[]> {
  const seen: Snapshot[] = [];
  for await (const snapshot of snapshots.watch(id, port())) {
    seen.push(snapshot);
    if (isFinished(snapshot.phase)) break;
  }
  return seen;
}

const endOf = async (id: string): Promise<Snapshot | undefined> => (await statesOf(id)).at(-1);

describe("gateway, operator and mounter", { timeout: CASE_MS }, () => {
  it("take a snapshot that the gateway sees through, and remove it with what it wrote", async () => {
    await running("work");
    await stage.holdSaves();
    const created = await take("one", "work", "kept");
    expect(created.phase).toBe("Pending");
    const states = statesOf("one");
    await until(
      () => snapshots.get("one", port()),
      ({ phase }) => phase === "Running",
      PATIENCE,
    );
    await stage.letSave();
    const taken = (await states).at(-1);
    expect(taken).toMatchObject({
      phase: "Succeeded",
      spec: created.spec,
      result: {
        containerName: "main",
        snapshotKey: `rootfssnapshots/${stage.namespace}/kept.json`,
        base: { image: IMAGE },
      },
    });
    expect(taken?.startedAtMs).toBeGreaterThanOrEqual(created.createdAtMs);
    expect((taken?.expiresAtMs ?? 0) - (taken?.completedAtMs ?? 0)).toBe(300_000);
    expect(await stage.stored()).toContain("kept.json");
    await snapshots.remove("one", port());
    // The answer came when the collector had seen to the store; the layer, which nothing names now, goes later.
    expect(await stage.stored()).not.toContain("kept.json");
    await expect(snapshots.get("one", port())).rejects.toMatchObject(absent);
  });

  it("take those of one name in turn, and say so", async () => {
    await running("busy");
    await stage.holdSaves();
    await take("first", "busy", "shared");
    await take("second", "busy", "shared");
    await until(
      () => snapshots.get("first", port()),
      ({ phase }) => phase === "Running",
      PATIENCE,
    );
    expect(await snapshots.get("second", port())).toMatchObject({
      phase: "Pending",
      reason: "WaitingForTurn",
      message: expect.stringContaining('"first"'),
    });
    await stage.letSave();
    const [first, second] = await Promise.all([endOf("first"), endOf("second")]);
    expect([first?.phase, second?.phase]).toEqual(["Succeeded", "Succeeded"]);
    expect(second?.startedAtMs).toBeGreaterThanOrEqual(first?.completedAtMs ?? Infinity);
    await snapshots.remove("first", port());
    expect(await stage.stored()).toContain("shared.json");
    await snapshots.remove("second", port());
    expect(await stage.stored()).not.toContain("shared.json");
  });

  it("say what became of one that cannot be taken", async () => {
    await take("vain", "nobody", "vain");
    expect(await endOf("vain")).toMatchObject({ phase: "Failed", reason: "SandboxNotFound" });
    await snapshots.remove("vain", port());
    await expect(snapshots.get("vain", port())).rejects.toMatchObject(absent);
  });

  it("give up one whose record is removed, and leave nothing of it", async () => {
    await running("given-up");
    await stage.holdSaves();
    await take("gone", "given-up", "gone");
    await until(
      () => snapshots.get("gone", port()),
      ({ phase }) => phase === "Running",
      PATIENCE,
    );
    const removal = snapshots.remove("gone", port());
    await stage.letSave();
    await removal;
    await expect(snapshots.get("gone", port())).rejects.toMatchObject(absent);
    await until(
      () => stage.stored(),
      (names) => !names.some((name) => name.startsWith("gone")),
      PATIENCE,
    );
  });

  it("hold a start until its snapshots are there, keep them meanwhile, and run it then", async () => {
    await running("source");
    await take("base", "source", "base");
    expect((await endOf("base"))?.phase).toBe("Succeeded");
    await begin("again", { rootfsSnapshotName: "base" }, { rootfsSnapshotName: "later" });
    const waiting = await sandboxIs("again", ({ reason }) => reason === "WaitingForSnapshot");
    expect(waiting).toMatchObject({ phase: "Pending", message: expect.stringContaining("later") });
    await expect(snapshots.remove("base", port())).rejects.toMatchObject({ slug: "snapshot-in-use" });
    await take("later", "source", "later");
    expect((await endOf("later"))?.phase).toBe("Succeeded");
    await sandboxIs("again", ({ reason }) => reason !== "WaitingForSnapshot");
    await reportRunning(stage, "again");
    await sandboxIs("again", ({ phase }) => phase === "Running");
    await snapshots.remove("base", port());
    expect(await stage.stored()).not.toContain("base.json");
    await backend.remove("again", port());
    await until(
      () => endPod(stage, "again").then(() => isPodThere("again")),
      (there) => !there,
      PATIENCE,
    );
  });
});
