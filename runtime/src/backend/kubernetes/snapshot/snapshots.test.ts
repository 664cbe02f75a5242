import { describe, expect, it } from "vitest";
import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { ANNOTATION, SNAPSHOT_DATA_FINALIZER } from "#core/kubernetes/names.ts";
import { ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import type { Snapshot } from "#core/snapshot/snapshot.ts";
import type { CreateSnapshot } from "#runtime/backend/port.ts";
import { createManualClock } from "../../../../../test/harness/manual-clock.ts";
import { ModelKube } from "../../../../test/model-kube.ts";
import { BY_SNAPSHOT_NAME, KubernetesSnapshots } from "./snapshots.ts";
import { snapshotNameOf } from "./to-snapshot.ts";

const AT = "2026-11-01T10:00:00Z";
const atMs = Date.parse(AT);
const call = { signal: new AbortController().signal, log: silentLog };
const base = { image: "debian", digest: `sha256:${"a".repeat(64)}` };
const SUCCEEDED: RootfsSnapshotStatusResource = {
  conditions: [{ type: "Succeeded", status: "True", reason: "Succeeded", message: "", lastTransitionTime: AT }],
  startTime: AT,
  completionTime: AT,
  containerName: "main",
  snapshotKey: "rootfssnapshots/boxes/kept.json",
  bytes: 7,
  base,
};
const FAILED: RootfsSnapshotStatusResource = {
  conditions: [{ type: "Succeeded", status: "False", reason: "DiskFull", message: "No room.", lastTransitionTime: AT }],
  completionTime: AT,
};

function request(id: string, spec: Partial<CreateSnapshot["spec"]> = {}, requestDigest = "digest"): CreateSnapshot {
  const all = { sandboxId: "box", snapshotName: "kept", timeoutSeconds: 60, ttlSecondsAfterFinished: 300, ...spec };
  return { id, spec: all, requestDigest };
}

interface WorldOptions {
  readonly isStartingFrom?: (snapshotName: string) => boolean;
  readonly isSynced?: boolean;
}

/** Snapshots over a model of the API server, in step with it unless it holds its watches back. */
async function world({ isStartingFrom = () => false, isSynced = true }: WorldOptions = {}) {
  const kube = new ModelKube();
  const clock = createManualClock(atMs);
  const client = createKubeClient(kube.fetch, { clock, random: () => 0 });
  const records = createInformer<RootfsSnapshotResource>(client, ROOTFS_SNAPSHOTS, {
    clock,
    log: silentLog,
    random: () => 0,
    query: { namespace: "boxes" },
    indexes: { [BY_SNAPSHOT_NAME]: (record) => [snapshotNameOf(record)] },
  });
  const snapshots = new KubernetesSnapshots({ client, records, namespace: "boxes", clock, isStartingFrom });
  const life = new AbortController();
  if (isSynced) {
    void records.run(life.signal);
    await records.synced(call.signal);
    // The watch is open, too.
    await clock.settle();
  }
  /** What the operator or a mounter writes. */
  const say = async (id: string, status: RootfsSnapshotStatusResource): Promise<void> => {
    const known = kube.find(ROOTFS_SNAPSHOTS, id);
    if (known === undefined) throw new Error(`there is no ${id}`);
    kube.put(ROOTFS_SNAPSHOTS, { ...known, status: { ...known.status, ...status } });
    await clock.settle();
  };
  const succeed = (id: string, more: RootfsSnapshotStatusResource = {}) =>
    say(id, { ...SUCCEEDED, writeId: `write-of-${id}`, ...more });
  return { kube, clock, snapshots, say, succeed };
}

describe("KubernetesSnapshots", () => {
  it("makes an object that others can work on, and knows it at once", async () => {
    const { kube, snapshots } = await world();
    kube.isHeldBack = true;
    const made = await snapshots.create(request("one", { containerName: "main" }), call);
    expect(made).toMatchObject({ id: "one", phase: "Pending", requestDigest: "digest", createdAtMs: atMs });
    expect(kube.find(ROOTFS_SNAPSHOTS, "one")).toMatchObject({
      metadata: { namespace: "boxes", annotations: { [ANNOTATION.requestDigest]: "digest" } },
      spec: { sandboxName: "box", snapshotName: "kept", containerName: "main", timeoutSeconds: 60 },
    });
    expect(await snapshots.get("one", call)).toEqual(made);
    expect((await snapshots.list({})).items).toEqual([made]);
  });

  it("makes one for the same request, and refuses another under its id", async () => {
    const { kube, snapshots } = await world();
    const first = await snapshots.create(request("one"), call);
    expect(await snapshots.create(request("one"), call)).toEqual(first);
    const other = snapshots.create(request("one", {}, "other"), call);
    await expect(other).rejects.toMatchObject({ slug: "idempotency-mismatch" });
    expect(kube.requests.filter((line) => line.startsWith("POST"))).toHaveLength(1);
  });

  it("takes the object of an attempt whose answer was lost for its own, and somebody's for a conflict", async () => {
    const { kube, snapshots } = await world();
    kube.isHeldBack = true;
    const annotations = { [ANNOTATION.requestDigest]: "digest" };
    const spec = { sandboxName: "box", snapshotName: "kept", timeoutSeconds: 60, ttlSecondsAfterFinished: 300 };
    kube.put(ROOTFS_SNAPSHOTS, { metadata: { name: "lost", namespace: "boxes", annotations }, spec });
    kube.put(ROOTFS_SNAPSHOTS, { metadata: { name: "theirs", namespace: "boxes" }, spec });
    expect(await snapshots.create(request("lost"), call)).toMatchObject({ id: "lost" });
    await expect(snapshots.create(request("theirs"), call)).rejects.toMatchObject({ slug: "conflict" });
  });

  it("keeps the order of what is made one after the other, however the clocks differ", async () => {
    const { kube, clock, snapshots } = await world();
    // The API server's clock is ahead by one second and the gateway's stands still.
    kube.nowText = "2026-11-01T10:00:01Z";
    const made: Snapshot[] = [];
    for (const id of ["c", "a", "b"]) made.push(await snapshots.create(request(id), call));
    const times = made.map(({ createdAtMs }) => createdAtMs);
    expect(new Set(times).size).toBe(3);
    expect(times).toEqual(times.toSorted((x, y) => x - y));
    await clock.settle();
    expect((await snapshots.list({})).items.map(({ id }) => id)).toEqual(["c", "a", "b"]);
  });

  it("shows what somebody made without it: the name is the sandbox's, and it has no digest", async () => {
    const { kube, clock, snapshots } = await world();
    const spec = { sandboxName: "box", timeoutSeconds: 60, ttlSecondsAfterFinished: 300 };
    kube.put(ROOTFS_SNAPSHOTS, { metadata: { name: "by-hand", namespace: "boxes" }, spec });
    await clock.settle();
    const shown = await snapshots.get("by-hand", call);
    expect(shown).toMatchObject({
      spec: { sandboxId: "box", snapshotName: "box" },
      requestDigest: "",
      phase: "Pending",
    });
    expect((await snapshots.list({ snapshotName: "box" })).items).toEqual([shown]);
  });

  it("lists by name and sandbox, page by page, and nothing before it has read all", async () => {
    const { snapshots } = await world();
    await snapshots.create(request("one"), call);
    await snapshots.create(request("two", { snapshotName: "other" }), call);
    await snapshots.create(request("three", { sandboxId: "crate" }), call);
    const ids = async (query: object) => (await snapshots.list(query)).items.map(({ id }) => id);
    expect(await ids({ snapshotName: "kept" })).toEqual(["one", "three"]);
    expect(await ids({ sandboxId: "box" })).toEqual(["one", "two"]);
    expect(await ids({ sandboxId: "box", snapshotName: "kept" })).toEqual(["one"]);
    const { next } = await snapshots.list({ limit: 1 });
    expect(await ids({ after: next })).toEqual(["two", "three"]);
    const early = await world({ isSynced: false });
    await expect(early.snapshots.list({})).rejects.toMatchObject({ slug: "unavailable" });
  });

  it("tells who waits for whom, until it is its turn", async () => {
    const { snapshots, say, succeed } = await world();
    await snapshots.create(request("first"), call);
    await snapshots.create(request("second"), call);
    await snapshots.create(request("elsewhere", { snapshotName: "other" }), call);
    expect(await snapshots.get("second", call)).toMatchObject({
      reason: "WaitingForTurn",
      message: 'It waits for the snapshot "first", which writes the same name.',
    });
    for (const id of ["first", "elsewhere"]) expect(await snapshots.get(id, call)).not.toHaveProperty("reason");
    await say("first", { startTime: AT });
    expect(await snapshots.get("second", call)).toMatchObject({ reason: "WaitingForTurn" });
    await succeed("first");
    expect(await snapshots.get("second", call)).not.toHaveProperty("reason");
  });

  it("wakes who watches the one that waits when the one ahead ends", async () => {
    const { snapshots, succeed } = await world();
    await snapshots.create(request("first"), call);
    await snapshots.create(request("second"), call);
    const watch = snapshots.watch("second", call)[Symbol.asyncIterator]();
    expect((await watch.next()).value).toMatchObject({ reason: "WaitingForTurn" });
    const next = watch.next();
    await succeed("first");
    expect((await next).value).not.toHaveProperty("reason");
    await watch.return?.();
  });

  it("shows start, progress and end to who watches, each once", async () => {
    const { clock, snapshots, say, succeed } = await world();
    await snapshots.create(request("one"), call);
    const seen: Snapshot[] = [];
    const watching = (async () => {
      for await (const snapshot of snapshots.watch("one", call)) seen.push(snapshot);
    })();
    const progress = { phase: "Uploading", bytesDone: 3, bytesTotal: 7 } as const;
    await say("one", { startTime: AT, nodeName: "n1" });
    await say("one", { nodeName: "n1" });
    await say("one", { progress });
    await succeed("one", { warnings: [{ code: "Sockets", message: "No sockets.", count: 1, examples: ["/s"] }] });
    await clock.runUntil(snapshots.remove("one", call));
    await watching;
    expect(seen.map(({ phase }) => phase)).toEqual(["Pending", "Running", "Running", "Succeeded"]);
    expect(seen[2]).toMatchObject({ progress });
    expect(seen[3]).not.toHaveProperty("progress");
    expect(seen[3]).toMatchObject({
      completedAtMs: atMs,
      expiresAtMs: atMs + 300_000,
      result: { writeId: "write-of-one", bytes: 7, base, warnings: [{ code: "Sockets" }] },
    });
  });

  it("says that there is none, and leaves it at that when one is to be removed", async () => {
    const { snapshots } = await world();
    const absent = { slug: "snapshot-not-found" };
    await expect(snapshots.get("none", call)).rejects.toMatchObject(absent);
    await expect(snapshots.watch("none", call)[Symbol.asyncIterator]().next()).rejects.toMatchObject(absent);
    await expect(snapshots.remove("none", call)).resolves.toBeUndefined();
  });
});

describe("KubernetesSnapshots.remove()", () => {
  it("holds the object until its data is gone, shows it to nobody meanwhile, and answers then", async () => {
    const { kube, clock, snapshots, succeed } = await world();
    await snapshots.create(request("one"), call);
    await succeed("one");
    let isOver = false;
    const removal = snapshots.remove("one", call).then(() => (isOver = true));
    await clock.settle();
    const held = kube.find(ROOTFS_SNAPSHOTS, "one")?.metadata;
    expect(held).toMatchObject({ finalizers: [SNAPSHOT_DATA_FINALIZER], deletionTimestamp: AT });
    await expect(snapshots.get("one", call)).rejects.toMatchObject({ slug: "snapshot-not-found" });
    expect((await snapshots.list({})).items).toEqual([]);
    expect(isOver).toBe(false);
    kube.drop(ROOTFS_SNAPSHOTS, "one");
    await removal;
    await snapshots.remove("one", call);
  });

  it("answers in time when nobody removes the data, and again when it is asked again", async () => {
    const { clock, snapshots, succeed } = await world();
    await snapshots.create(request("one"), call);
    await succeed("one");
    await clock.runUntil(snapshots.remove("one", call));
    await clock.runUntil(snapshots.remove("one", call));
    await expect(snapshots.get("one", call)).rejects.toMatchObject({ slug: "snapshot-not-found" });
  });

  it("keeps finalizers of others, and needs none where nothing was written", async () => {
    const { kube, clock, snapshots, say, succeed } = await world();
    for (const id of ["held", "failed"]) await snapshots.create(request(id), call);
    const held = kube.find(ROOTFS_SNAPSHOTS, "held");
    if (held === undefined) throw new Error("it was not made");
    kube.put(ROOTFS_SNAPSHOTS, { ...held, metadata: { ...held.metadata, finalizers: ["other.test/x"] } });
    await succeed("held");
    await say("failed", FAILED);
    void snapshots.remove("held", call);
    await clock.settle();
    expect(kube.find(ROOTFS_SNAPSHOTS, "held")?.metadata.finalizers).toEqual(["other.test/x", SNAPSHOT_DATA_FINALIZER]);
    await snapshots.remove("failed", call);
    expect(kube.find(ROOTFS_SNAPSHOTS, "failed")).toBeUndefined();
    expect(kube.requests.filter((line) => line === "PATCH rootfssnapshots/failed")).toEqual([]);
  });

  it("marks the state that it looked at: one that ends meanwhile is looked at again", async () => {
    const { kube, snapshots } = await world();
    await snapshots.create(request("one"), call);
    let isFirst = true;
    kube.beforeWrite = (method) => {
      if (method !== "PATCH" || !isFirst) return;
      isFirst = false;
      const known = kube.find(ROOTFS_SNAPSHOTS, "one");
      if (known !== undefined) kube.put(ROOTFS_SNAPSHOTS, { ...known, status: FAILED });
    };
    await snapshots.remove("one", call);
    expect(kube.find(ROOTFS_SNAPSHOTS, "one")).toBeUndefined();
    expect(kube.requests.slice(-3)).toEqual(
      ["PATCH", "GET", "DELETE"].map((method) => `${method} rootfssnapshots/one`),
    );
  });

  it("refuses while a sandbox starts from what it wrote, and only then", async () => {
    const held = new Set(["kept"]);
    const { kube, clock, snapshots, succeed } = await world({ isStartingFrom: (name) => held.has(name) });
    await snapshots.create(request("old"), call);
    await succeed("old");
    await snapshots.create(request("open", { snapshotName: "other" }), call);
    await expect(snapshots.remove("old", call)).rejects.toMatchObject({ slug: "snapshot-in-use" });
    expect(kube.find(ROOTFS_SNAPSHOTS, "old")?.metadata).not.toHaveProperty("finalizers");
    // Nothing is written yet.
    held.add("other");
    await clock.runUntil(snapshots.remove("open", call));
    // A later write of the name is what the sandbox starts from.
    await snapshots.create(request("new"), call);
    await succeed("new");
    await clock.runUntil(snapshots.remove("old", call));
    await expect(snapshots.remove("new", call)).rejects.toMatchObject({ slug: "snapshot-in-use" });
    held.clear();
    await clock.runUntil(snapshots.remove("new", call));
  });

  it("leaves what a later one wrote alone when that one's record has gone", async () => {
    const { kube, clock, snapshots, succeed } = await world({ isStartingFrom: () => true });
    await snapshots.create(request("old"), call);
    await succeed("old");
    await snapshots.create(request("new"), call);
    await succeed("new");
    kube.drop(ROOTFS_SNAPSHOTS, "new");
    await clock.settle();
    await clock.runUntil(snapshots.remove("old", call));
    expect(kube.find(ROOTFS_SNAPSHOTS, "old")?.metadata.deletionTimestamp).toBe(AT);
  });
});

describe("KubernetesSnapshots.baseOf()", () => {
  it("is the base of what a name means, where that is certain", async () => {
    const { kube, clock, snapshots, succeed } = await world();
    const other = { image: "alpine" };
    expect(snapshots.baseOf("kept")).toBeUndefined();
    await snapshots.create(request("old"), call);
    await succeed("old");
    expect(snapshots.baseOf("kept")).toEqual(base);
    await snapshots.create(request("new"), call);
    // What it means when a sandbox starts cannot be told.
    expect(snapshots.baseOf("kept")).toBeUndefined();
    await succeed("new", { base: other });
    expect(snapshots.baseOf("kept")).toEqual(other);
    // The last write's data may have gone with its record.
    kube.drop(ROOTFS_SNAPSHOTS, "new");
    await clock.settle();
    expect(snapshots.baseOf("kept")).toBeUndefined();
    kube.drop(ROOTFS_SNAPSHOTS, "old");
    await clock.settle();
    await snapshots.create(request("old"), call);
    await succeed("old");
    expect(snapshots.baseOf("kept")).toEqual(base);
  });
});
