import { describe, expect, it } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import { createManualClock } from "../../../../../test/harness/manual-clock.ts";
import { ModelKube } from "../../../../test/model-kube.ts";
import { Agents } from "../agents.ts";
import { KubernetesBackend } from "../backend.ts";
import { BY_SNAPSHOT_NAME } from "./snapshots.ts";
import { snapshotNameOf } from "./to-snapshot.ts";

const AT = "2026-11-01T10:00:00Z";
const call = { signal: new AbortController().signal, log: silentLog };
const pinned = (letter: string): string => `debian@sha256:${letter.repeat(64)}`;

const written = {
  metadata: { name: "one", namespace: "boxes" },
  spec: { sandboxName: "box", snapshotName: "kept", timeoutSeconds: 60, ttlSecondsAfterFinished: 300 },
  status: {
    conditions: [{ type: "Succeeded", status: "True", reason: "Succeeded", message: "", lastTransitionTime: AT }],
    containerName: "main",
    writeId: "w",
    snapshotKey: "k",
    bytes: 1,
    base: { image: pinned("a") },
  },
} as const satisfies RootfsSnapshotResource;

async function world(hasSnapshots = true) {
  const kube = new ModelKube();
  const clock = createManualClock(Date.parse(AT));
  const client = createKubeClient(kube.fetch, { clock, random: () => 0 });
  const common = { clock, log: silentLog, random: () => 0, query: { namespace: "boxes" } };
  const sandboxes = createInformer(client, SANDBOXES, common);
  const pods = createInformer(client, PODS, common);
  const records = createInformer<RootfsSnapshotResource>(client, ROOTFS_SNAPSHOTS, {
    ...common,
    indexes: { [BY_SNAPSHOT_NAME]: (record) => [snapshotNameOf(record)] },
  });
  const life = new AbortController();
  const connect = () => ({ fetch: () => Promise.reject(new Error("nobody")), close: () => undefined });
  const keys = { gatewayPrivateKey: "", gatewayPublicKey: "", agentMasterKey: "" };
  const backend = new KubernetesBackend({
    client,
    sandboxes,
    pods,
    ...(hasSnapshots ? { records } : {}),
    agents: new Agents({ clock, keys: () => keys, connect }),
    namespace: "boxes",
    clock,
    log: silentLog,
    random: () => 0,
    stop: async () => life.abort(new Error("over")),
  });
  const follow = async (...copies: readonly { run(signal: AbortSignal): Promise<void> }[]): Promise<void> => {
    for (const copy of copies) void copy.run(life.signal);
    await clock.settle();
  };
  return { kube, clock, backend, sandboxes, pods, records, follow };
}

const create = (backend: KubernetesBackend, image: string, snapshotName = "kept") => {
  const containers = [{ name: "main", image, env: {}, rootfsSnapshotName: snapshotName }];
  return backend.create({ id: "new", spec: { containers, startupTimeoutSeconds: 9 }, requestDigest: "d" }, call);
};

describe("KubernetesBackend with snapshots", () => {
  it("is ready when it has read their records, too", async () => {
    const { backend, sandboxes, pods, records, follow } = await world();
    await follow(sandboxes, pods);
    await expect(backend.ready()).rejects.toMatchObject({ slug: "unavailable" });
    await follow(records);
    await backend.ready();
    await backend.close();
    const without = await world(false);
    expect(without.backend.snapshots).toBeUndefined();
    await without.follow(without.sandboxes, without.pods);
    await without.backend.ready();
    await without.backend.close();
  });

  it("refuses a sandbox whose image cannot be the snapshot's, and makes no object", async () => {
    const { kube, clock, backend, sandboxes, pods, records, follow } = await world();
    await follow(sandboxes, pods, records);
    kube.put(ROOTFS_SNAPSHOTS, written);
    await clock.settle();
    await expect(create(backend, pinned("b"))).rejects.toMatchObject({ slug: "validation-failed" });
    expect(kube.find(SANDBOXES, "new")).toBeUndefined();
    await create(backend, pinned("a"));
    expect(kube.find(SANDBOXES, "new")?.spec.rootfsSnapshotSources).toEqual([
      { containerName: "main", snapshotName: "kept" },
    ]);
    await backend.close();
  });

  it("does not let a snapshot go while a sandbox that is to start from it is Pending", async () => {
    const { kube, clock, backend, sandboxes, pods, records, follow } = await world();
    await follow(sandboxes, pods, records);
    kube.put(ROOTFS_SNAPSHOTS, written);
    await create(backend, pinned("a"));
    await clock.settle();
    await expect(backend.snapshots?.remove("one", call)).rejects.toMatchObject({ slug: "snapshot-in-use" });
    const started = kube.find(SANDBOXES, "new");
    if (started === undefined) throw new Error("the sandbox is not there");
    const ready = { type: "Ready", status: "True", reason: "PodRunning", message: "", lastTransitionTime: AT } as const;
    kube.put(SANDBOXES, { ...started, status: { conditions: [ready] } });
    await clock.settle();
    await clock.runUntil(backend.snapshots?.remove("one", call) ?? Promise.reject(new Error("no snapshots")));
    expect(kube.find(ROOTFS_SNAPSHOTS, "one")?.metadata.deletionTimestamp).toBeDefined();
    await backend.close();
  });
});
