import { afterAll, beforeAll, describe, expect, it, test, vi } from "vitest";
import { rootfsSnapshotCrd } from "#api/crd/rootfs-snapshot-crd.ts";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";
import { fences, mounterFenceName } from "#core/kubernetes/admission/fence.ts";
import { serviceAccountUser } from "#core/kubernetes/admission/fence-config.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { SNAPSHOT_COLLECTOR_LEASE, SNAPSHOT_DATA_FINALIZER } from "#core/kubernetes/names.ts";
import { CRDS, LEASES, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { until } from "../harness/until.ts";
import { call } from "./cluster.ts";
import { ACCOUNT_NAMESPACE, accountOnNode, adminOf, post, putUp, told } from "./node-account.ts";

const ACCOUNT = "mounter";
const namespace = ACCOUNT_NAMESPACE;
const AT = "2026-11-01T10:00:00Z";
const ANYTHING = [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }];
const status = (of: object): object => ({ status: of });
const ended = (value: string) => ({
  conditions: [{ type: "Succeeded", status: value, reason: "X", message: "", lastTransitionTime: AT }],
});

let plane: ControlPlane;
let admin: KubeClient;
/** With the token of a pod on node "one", and every right that there is: admission alone decides. */
let mounter: KubeClient;

/** A record as the operator left it. */
async function record(name: string, of: object, metadata: object = {}): Promise<void> {
  const spec = { sandboxName: "box", timeoutSeconds: 60, ttlSecondsAfterFinished: 60 };
  await admin.create(ROOTFS_SNAPSHOTS, { metadata: { name, namespace, ...metadata }, spec }, call());
  await admin.patch(ROOTFS_SNAPSHOTS, { name, namespace }, status(of), call(), { subresource: "status" });
}

async function sandbox(name: string, sources: readonly string[]): Promise<void> {
  const containers = sources.map((source) => ({ name: source, image: "i" }));
  const rootfsSnapshotSources = sources.map((source) => ({ snapshotName: source, containerName: source }));
  const podTemplate = { spec: { containers: [{ name: "main", image: "i" }, ...containers] } };
  const spec = { podTemplate, startupTimeoutSeconds: 9, ...(sources.length === 0 ? {} : { rootfsSnapshotSources }) };
  await admin.create(SANDBOXES, { metadata: { name, namespace }, spec }, call());
  await admin.patch(SANDBOXES, { name, namespace }, status({ podIP: "10.0.0.1" }), call(), { subresource: "status" });
}

beforeAll(async () => {
  plane = await startControlPlane();
  admin = adminOf(plane);
  for (const name of ["one", "two"]) await post(plane, "/api/v1/nodes", { metadata: { name } });
  for (const definition of [sandboxCrd(), rootfsSnapshotCrd()]) await admin.create(CRDS, definition, call());
  const isServed = async (): Promise<string> =>
    told(
      Promise.all([SANDBOXES, ROOTFS_SNAPSHOTS].map((kind) => admin.list<never>(kind as never, { namespace }, call()))),
    );
  await until(isServed, (answer) => answer === "allowed", { timeoutMs: 30_000 });
  const mine = { nodeName: "one", startTime: AT, podUid: "p", containerID: "containerd://c", containerName: "main" };
  await record("mine", mine);
  await record("based", { ...mine, base: { image: "i" } });
  await record("theirs", { ...mine, nodeName: "two" });
  await record("open", {});
  await record("unsettled", { ...mine, nodeName: "two", settle: true });
  await record("over", { ...mine, ...ended("False"), completionTime: AT });
  await record("leaving", { ...mine, nodeName: "two" }, { finalizers: [SNAPSHOT_DATA_FINALIZER, "other.test/x"] });
  await admin.remove(ROOTFS_SNAPSHOTS, { name: "leaving", namespace }, call());
  await sandbox("restored", ["kept"]);
  await sandbox("plain", []);
  mounter = await accountOnNode(plane, { name: ACCOUNT, node: "one", rules: ANYTHING });
  const all = fences({
    sandboxNamespaces: [namespace],
    operatorUser: "o",
    runtimeClass: "g",
    capabilities: { container: [], marks: [], agent: [] },
    mounterUser: serviceAccountUser(namespace, ACCOUNT),
  });
  await putUp(plane, all, ({ metadata }) => metadata.name === mounterFenceName());
  // A policy is in force some time after it was made.
  const isHeld = async (): Promise<boolean> => (await ofRecord("theirs", status({ bytes: 1 }))) !== "allowed";
  await vi.waitUntil(isHeld, { timeout: 30_000, interval: 200 });
}, 120_000);
afterAll(() => plane.dispose());

const DRY = { dryRun: true };
const ofRecord = (name: string, patch: object) =>
  told(mounter.patch(ROOTFS_SNAPSHOTS, { name, namespace }, patch, call(), { ...DRY, subresource: "status" }));
const whole = (name: string, patch: object) =>
  told(mounter.patch(ROOTFS_SNAPSHOTS, { name, namespace }, patch, call(), DRY));
const ofSandbox = (name: string, patch: object) =>
  told(mounter.patch(SANDBOXES, { name, namespace }, patch, call(), { ...DRY, subresource: "status" }));
const restores = (snapshotName: string) =>
  status({ rootfsRestores: [{ containerName: "kept", snapshotName, phase: "Failed", message: "It is damaged." }] });

describe("a mounter tells", () => {
  const end = { ...ended("True"), completionTime: AT, progress: null, settle: null };
  const result = {
    containerName: "main",
    snapshotKey: "k",
    writeId: "w",
    bytes: 1,
    base: { image: "i" },
    warnings: [],
  };

  it("of a snapshot of its own node how far it is, and how it ended", async () => {
    expect(await ofRecord("mine", status({ progress: { phase: "Dumping", bytesDone: 1 } }))).toBe("allowed");
    expect(await ofRecord("mine", status({ publishBy: AT }))).toBe("allowed");
    for (const name of ["mine", "based"]) expect(await ofRecord(name, status({ ...end, ...result }))).toBe("allowed");
    expect(await ofRecord("mine", status({ ...end, ...ended("False") }))).toBe("allowed");
  });

  it("of one that is to be settled, and of one that is removed, the end", async () => {
    for (const name of ["unsettled", "leaving"])
      expect(await ofRecord(name, status({ ...end, ...result }))).toBe("allowed");
  });

  it("how a sandbox's own snapshots are restored", async () =>
    expect(await ofSandbox("restored", restores("kept"))).toBe("allowed"));

  it("by server-side apply, too", async () => {
    const applied = { metadata: { name: "restored", namespace }, ...restores("kept") } as never;
    const options = { ...DRY, subresource: "status", fieldManager: "atoll-mounter" };
    expect(await told(mounter.apply(SANDBOXES, applied, call(), options))).toBe("allowed");
  });

  it("that it holds the collector's lease, and no other", async () => {
    const lease = (name: string) =>
      told(mounter.create(LEASES, { metadata: { name, namespace }, spec: { holderIdentity: "x" } }, call(), DRY));
    expect(await lease(SNAPSHOT_COLLECTOR_LEASE)).toBe("allowed");
    expect(await lease("3e5ad6c4.isola.run")).toContain("a mounter holds no lease but");
  });
});

describe("a mounter does not", () => {
  test.each<[string, string, object, string]>([
    ["tell of another node's snapshot", "theirs", status({ bytes: 1 }), "only of snapshots of its own node"],
    ["tell of a snapshot that is nobody's yet", "open", status({ bytes: 1 }), "only of snapshots of its own node"],
    ["take one over", "open", status({ nodeName: "one" }), "only of snapshots of its own node"],
    ["give one away", "mine", status({ nodeName: "two" }), "writes of a snapshot's status only"],
    [
      "choose another container",
      "mine",
      status({ containerID: "containerd://d" }),
      "writes of a snapshot's status only",
    ],
    ["name another container", "mine", status({ containerName: "other" }), "writes of a snapshot's status only"],
    ["choose another image", "based", status({ base: { image: "j" } }), "writes of a snapshot's status only"],
    ["move its beginning", "mine", status({ startTime: "2026-11-01T09:00:00Z" }), "writes of a snapshot's status only"],
    ["have one settled", "mine", status({ settle: true }), "asks nobody to settle"],
    ["change an end", "over", status({ ...ended("True"), bytes: 1 }), "told once and never changes"],
  ])("%s", async (_, name, patch, message) => expect(await ofRecord(name, patch)).toContain(message));

  const nothing = "a mounter changes nothing of a snapshot's object";
  test.each<[string, string, object]>([
    ["change what is asked for", "leaving", { spec: { ttlSecondsAfterFinished: 1 } }],
    ["change labels", "leaving", { metadata: { labels: { a: "b" } } }],
    ["change annotations", "mine", { metadata: { annotations: { a: "b" } } }],
    ["take others' finalizers", "leaving", { metadata: { finalizers: [] } }],
    ["hold what is there", "mine", { metadata: { finalizers: ["other.test/x"] } }],
    [
      "own anything",
      "mine",
      { metadata: { ownerReferences: [{ apiVersion: "v1", kind: "Node", name: "n", uid: "u" }] } },
    ],
  ])("%s", async (_, name, patch) => expect(await whole(name, patch)).toContain(nothing));

  it("make records", async () => {
    const spec = { sandboxName: "box", timeoutSeconds: 60, ttlSecondsAfterFinished: 60 };
    const made = mounter.create(ROOTFS_SNAPSHOTS, { metadata: { name: "new", namespace }, spec }, call(), DRY);
    expect(await told(made)).toContain("forbidden");
  });

  it("say that a sandbox runs, or that it is elsewhere", async () => {
    for (const patch of [ended("True"), { podIP: "10.0.0.2" }, { timeoutAt: AT }])
      expect(await ofSandbox("restored", status(patch))).toContain("writes of a sandbox's status only");
  });

  it("tell of snapshots that a sandbox does not start from", async () => {
    for (const [name, snapshot] of [
      ["restored", "other"],
      ["plain", "kept"],
    ] as const)
      expect(await ofSandbox(name, restores(snapshot))).toContain("only how its own snapshots are restored");
  });

  it("change sandboxes", async () => {
    const patched = mounter.patch(
      SANDBOXES,
      { name: "plain", namespace },
      { metadata: { labels: { a: "b" } } },
      call(),
      DRY,
    );
    expect(await told(patched)).toContain("changes nothing of a sandbox but its status");
  });
});

it("a mounter takes the finalizer of data off a record that is removed, and off no other", async () => {
  expect(await whole("leaving", { metadata: { finalizers: ["other.test/x"] } })).toBe("allowed");
  await admin.patch(
    ROOTFS_SNAPSHOTS,
    { name: "open", namespace },
    { metadata: { finalizers: [SNAPSHOT_DATA_FINALIZER] } },
    call(),
  );
  expect(await whole("open", { metadata: { finalizers: [] } })).toContain("that it takes the finalizer");
});
