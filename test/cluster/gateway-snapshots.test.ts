import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rootfsSnapshotCrd } from "#api/crd/rootfs-snapshot-crd.ts";
import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";
import { systemClock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { ANNOTATION, SNAPSHOT_DATA_FINALIZER } from "#core/kubernetes/names.ts";
import { CRDS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import type { Snapshot } from "#core/snapshot/snapshot.ts";
import { createKubernetesBackend } from "#runtime/backend/kubernetes/node/create-kubernetes-backend.ts";
import type { CreateSnapshot, SandboxBackend, SnapshotBackend } from "#runtime/backend/port.ts";
import {
  GATEWAY_SANDBOX_NAMESPACE_RULES,
  GATEWAY_SNAPSHOT_RULES,
  GATEWAY_SYSTEM_NAMESPACE_RULES,
} from "#runtime/manifest.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { until } from "../harness/until.ts";
import { call } from "./cluster.ts";
import { ACCOUNT_NAMESPACE, adminOf, fetchOnNode, post, told } from "./node-account.ts";

const namespace = ACCOUNT_NAMESPACE;
const AT = "2026-11-01T10:00:00Z";
const port = () => ({ ...call(), log: silentLog });
const condition = (status: "True" | "False", reason: string, message = "") => ({
  conditions: [{ type: "Succeeded", status, reason, message, lastTransitionTime: AT }],
  completionTime: AT,
});
const SUCCEEDED: RootfsSnapshotStatusResource = {
  ...condition("True", "Succeeded"),
  containerName: "main",
  snapshotKey: "rootfssnapshots/default/kept.json",
  bytes: 7,
  base: { image: "debian" },
};

let plane: ControlPlane;
let admin: KubeClient;
let backend: SandboxBackend;
let snapshots: SnapshotBackend;

function request(id: string, spec: Partial<CreateSnapshot["spec"]> = {}): CreateSnapshot {
  const all = { sandboxId: "box", snapshotName: id, timeoutSeconds: 60, ttlSecondsAfterFinished: 300, ...spec };
  return { id, spec: all, requestDigest: "digest" };
}

/** What the operator or a mounter tells. */
const tell = (name: string, status: RootfsSnapshotStatusResource): Promise<RootfsSnapshotResource> =>
  admin.patch(ROOTFS_SNAPSHOTS, { name, namespace }, { status }, call(), { subresource: "status" });

const object = (name: string): Promise<RootfsSnapshotResource> =>
  admin.get(ROOTFS_SNAPSHOTS, { name, namespace }, call());

beforeAll(async () => {
  plane = await startControlPlane();
  admin = adminOf(plane);
  await post(plane, "/api/v1/nodes", { metadata: { name: "one" } });
  for (const definition of [sandboxCrd(), rootfsSnapshotCrd()]) await admin.create(CRDS, definition, call());
  const isServed = (): Promise<string> =>
    told(
      Promise.all(
        [SANDBOXES, ROOTFS_SNAPSHOTS].map(({ plural }) =>
          admin.text(`/apis/sandbox.isola.run/v1alpha1/${plural}`, call()),
        ),
      ),
    );
  await until(isServed, (answer) => answer === "allowed", { timeoutMs: 30_000 });
  const rules = [...GATEWAY_SANDBOX_NAMESPACE_RULES, ...GATEWAY_SNAPSHOT_RULES, ...GATEWAY_SYSTEM_NAMESPACE_RULES];
  const fetch = await fetchOnNode(plane, { name: "gateway", node: "one", rules });
  backend = createKubernetesBackend(
    { sandboxNamespace: namespace, systemNamespace: namespace, hasSnapshots: true },
    { fetch, clock: systemClock, log: silentLog, random: Math.random },
  );
  if (backend.snapshots === undefined) throw new Error("It takes no snapshots");
  snapshots = backend.snapshots;
  await until(
    () => told(snapshots.list({}, port())),
    (answer) => answer === "allowed",
  );
}, 120_000);
afterAll(async () => {
  await backend?.close();
  await plane?.dispose();
});

describe("the gateway's snapshots on an API server, with its account's rights", () => {
  it("are objects that keep what was asked for", async () => {
    const made = await snapshots.create(request("asked", { containerName: "main" }), port());
    expect(await object("asked")).toMatchObject({
      metadata: { annotations: { [ANNOTATION.requestDigest]: "digest" } },
      spec: { sandboxName: "box", snapshotName: "asked", containerName: "main", timeoutSeconds: 60 },
    });
    expect(await snapshots.get("asked", port())).toEqual(made);
    expect(await snapshots.create(request("asked", { containerName: "main" }), port())).toEqual(made);
  });

  it("are seen by who watches until they go, with what they wrote", async () => {
    await snapshots.create(request("watched"), port());
    const seen: Snapshot[] = [];
    const watching = (async () => {
      for await (const snapshot of snapshots.watch("watched", port())) seen.push(snapshot);
    })();
    const isSeen = (phase: string) =>
      until(
        async () => seen.map((one) => one.phase),
        (all) => all.includes(phase as never),
      );
    await tell("watched", { startTime: AT, nodeName: "one" });
    await isSeen("Running");
    await tell("watched", { ...SUCCEEDED, writeId: "w" });
    await isSeen("Succeeded");
    const removal = snapshots.remove("watched", port());
    const held = await until(
      () => object("watched"),
      ({ metadata }) => metadata.deletionTimestamp !== undefined,
    );
    expect(held.metadata.finalizers).toEqual([SNAPSHOT_DATA_FINALIZER]);
    await admin.patch(ROOTFS_SNAPSHOTS, held.metadata, { metadata: { finalizers: [] } }, call());
    await Promise.all([removal, watching]);
    expect(seen.at(-1)).toMatchObject({ phase: "Succeeded", result: { writeId: "w" } });
    await expect(snapshots.get("watched", port())).rejects.toMatchObject({ slug: "snapshot-not-found" });
    await snapshots.remove("watched", port());
  });

  it("that have failed go at once", async () => {
    await snapshots.create(request("failed"), port());
    await tell("failed", condition("False", "DiskFull", "There is no room."));
    await until(
      () => snapshots.get("failed", port()),
      ({ phase }) => phase === "Failed",
    );
    await snapshots.remove("failed", port());
    expect(await told(object("failed"))).toContain("not found");
  });

  it("are marked in the state that was looked at, however often others write meanwhile", async () => {
    await snapshots.create(request("busy"), port());
    let isOver = false;
    const writing = (async () => {
      for (let bytesDone = 0; !isOver; bytesDone += 1)
        await tell("busy", { progress: { phase: "Uploading", bytesDone } }).catch(() => undefined);
    })();
    const removal = snapshots.remove("busy", port());
    const held = await until(
      () => object("busy"),
      ({ metadata }) => metadata.deletionTimestamp !== undefined,
    );
    expect(held.metadata.finalizers).toEqual([SNAPSHOT_DATA_FINALIZER]);
    isOver = true;
    await writing;
    await admin.patch(ROOTFS_SNAPSHOTS, held.metadata, { metadata: { finalizers: [] } }, call());
    await removal;
  });

  it("of somebody else are shown with the definition's defaults", async () => {
    const spec = { sandboxName: "box" } as RootfsSnapshotResource["spec"];
    await admin.create(ROOTFS_SNAPSHOTS, { metadata: { name: "by-hand", namespace }, spec }, call());
    expect(await snapshots.get("by-hand", port())).toMatchObject({
      spec: { sandboxId: "box", snapshotName: "box", timeoutSeconds: 300, ttlSecondsAfterFinished: 300 },
      requestDigest: "",
    });
  });

  it("are what a sandbox starts from, by container", async () => {
    const containers = ["main", "side"].map((name) => ({
      name,
      image: "debian",
      env: {},
      rootfsSnapshotName: `of-${name}`,
    }));
    const spec = { containers, startupTimeoutSeconds: 60 };
    const made = await backend.create({ id: "restored", spec, requestDigest: "d" }, port());
    expect(made.spec).toEqual(spec);
    const { rootfsSnapshotSources } = (await admin.get(SANDBOXES, { name: "restored", namespace }, call())).spec;
    expect(rootfsSnapshotSources).toEqual([
      { containerName: "main", snapshotName: "of-main" },
      { containerName: "side", snapshotName: "of-side" },
    ]);
    const restore = { containerName: "side", snapshotName: "of-side", phase: "Waiting" } as const;
    await admin.patch(SANDBOXES, { name: "restored", namespace }, { status: { rootfsRestores: [restore] } }, call(), {
      subresource: "status",
    });
    const waiting = await until(
      () => backend.get("restored", port()),
      ({ reason }) => reason === "WaitingForSnapshot",
    );
    expect(waiting.message).toContain("of-side");
  });
});
