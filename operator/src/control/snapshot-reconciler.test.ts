import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxSpecResource } from "#api/crd/sandbox.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import { objectKey } from "#core/kubernetes/object-key.ts";
import { NODES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";
import { KINDS, ModelCluster, type Fate } from "../../test/model-cluster.ts";
import { ModelOperator } from "../../test/model-operator.ts";
import { SETTINGS, WITH_SNAPSHOTS } from "../../test/samples.ts";
import { sampleRecord } from "../../test/snapshot-samples.ts";
import { POD, RECORDS, recordRef, REF, SnapshotWorld } from "../../test/snapshot-world.ts";

const SAVED: Partial<SandboxSpecResource> = {
  terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 30 } },
};
const RESTORED: Partial<SandboxSpecResource> = { rootfsSnapshotSources: [{ snapshotName: "s" }] };

type Step =
  | { readonly kind: "reconcile"; readonly of: string; readonly fates: readonly Fate[] }
  | { readonly kind: "hear"; readonly of: (typeof KINDS)[number]; readonly most: number }
  | { readonly kind: "look" | "work" | "settle" | "recordGoes"; readonly of: (typeof RECORDS)[number] }
  | { readonly kind: "snapshot"; readonly of: "r1" | "r2"; readonly name: string }
  | { readonly kind: "kubelet"; readonly says: "taken" | "running" | "ended" }
  | { readonly kind: "restore"; readonly phase: "Waiting" | "Fetching" | "Ready" | "Failed" }
  | { readonly kind: "time"; readonly ms: number }
  | { readonly kind: (typeof EVENTS)[number] | (typeof PROGRESS)[number] };

/** What goes well for a while, and what does not. */
const PROGRESS = ["catchUp", "mount"] as const;
const EVENTS = [
  "restart",
  "takeOver",
  "mounterRestarts",
  "podGoes",
  "podVanishes",
  "finish",
  "garbage",
  "userDeletes",
  "userCreates",
  "nodeGoes",
] as const;

const fates = fc.array(fc.constantFrom<Fate>("done", "lost", "unsent"), { maxLength: 3 });
const record = fc.constantFrom(...RECORDS);
const kind = <K extends string>(name: K) => fc.constant(name);
const steps = fc.array(
  fc.oneof<fc.WeightedArbitrary<Step>[]>(
    { weight: 16, arbitrary: fc.record({ kind: fc.constantFrom(...PROGRESS) }) },
    { weight: 5, arbitrary: fc.record({ kind: kind("reconcile"), of: fc.constantFrom("a", "a", ...RECORDS), fates }) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: kind("hear"),
        of: fc.constantFrom(...KINDS),
        most: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 9, arbitrary: fc.record({ kind: fc.constantFrom("look", "work", "work"), of: record }) },
    { weight: 2, arbitrary: fc.record({ kind: kind("settle"), of: record }) },
    { weight: 1, arbitrary: fc.record({ kind: kind("recordGoes"), of: record }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: kind("snapshot"),
        of: fc.constantFrom("r1", "r2"),
        name: fc.constantFrom("x", "x", "a"),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: kind("kubelet"),
        says: fc.constantFrom("taken", "taken", "running", "running", "ended"),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: kind("restore"),
        phase: fc.constantFrom("Waiting", "Fetching", "Ready", "Ready", "Failed"),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: kind("time"), ms: fc.constantFrom(1000, 1000, 11_000, 31_000, 61_000, 200_000) }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom(...EVENTS) }) },
  ),
  { minLength: 10, maxLength: 70, size: "max" },
);

async function perform(world: SnapshotWorld, step: Step): Promise<void> {
  const { cluster, mounter } = world;
  switch (step.kind) {
    case "reconcile":
      await world.reconcile(step.of === "a" ? "sandbox" : "snapshot", step.of, step.fates);
      return;
    case "hear":
      return world.operator.hear(step.of, step.most);
    case "look":
      return mounter.look(recordRef(step.of));
    case "work":
      return mounter.work(recordRef(step.of));
    case "mount":
      return world.mount();
    case "catchUp":
      await world.catchUp();
      return;
    case "settle":
      return mounter.settle(recordRef(step.of));
    case "recordGoes":
      cluster.remove(ROOTFS_SNAPSHOTS.plural, recordRef(step.of));
      return;
    case "snapshot":
      return world.snapshot(step.of, step.name);
    case "kubelet":
      return world.kubelet(step.says);
    case "restore":
      return world.restore(step.phase);
    case "time":
      cluster.nowMs += step.ms;
      return;
    case "restart":
      world.operator = new ModelOperator(cluster, WITH_SNAPSHOTS);
      return;
    case "takeOver":
      world.operator = world.standby.lead();
      world.standby = new ModelOperator(cluster, WITH_SNAPSHOTS);
      return;
    case "mounterRestarts":
      return mounter.restart();
    case "podGoes":
      cluster.remove(PODS.plural, POD);
      return;
    case "podVanishes":
      cluster.remove(PODS.plural, POD, { force: true });
      return;
    case "finish":
      return world.finish();
    case "garbage":
      return cluster.collectGarbage();
    case "userDeletes":
      cluster.remove(SANDBOXES.plural, REF);
      return;
    case "userCreates":
      return world.create();
    case "nodeGoes":
      cluster.remove(NODES.plural, { name: "node-1" });
  }
}

const specs = fc.constantFrom<Partial<SandboxSpecResource>>(SAVED, { ...SAVED, timeoutSeconds: 40 }, RESTORED, {
  ...SAVED,
  ...RESTORED,
});
/** Longer than any deadline of a record, its settling and its time afterwards. */
const LONG_MS = 1_000_000;

/** A sandbox that runs, and everybody knows it. */
async function runningWorld(spec: Partial<SandboxSpecResource>): Promise<SnapshotWorld> {
  const world = new SnapshotWorld(spec);
  await world.settle();
  world.kubelet("taken");
  await world.restore("Ready");
  world.kubelet("running");
  await world.settle();
  expect(conditionOf(world.cluster.find(SANDBOXES, REF)?.status, "Ready")?.status).toBe("True");
  return world;
}

/** Mostly one that runs and of which a snapshot is to be taken. */
const mostlyRuns = fc.constantFrom(true, true, true, false);
async function beginning(spec: Partial<SandboxSpecResource>, runs: boolean): Promise<SnapshotWorld> {
  if (!runs) return new SnapshotWorld(spec);
  const world = await runningWorld(spec);
  world.snapshot("r1", "x");
  return world;
}

const recordOf = (world: SnapshotWorld, name: string) => world.cluster.find(ROOTFS_SNAPSHOTS, recordRef(name));
const endOf = (world: SnapshotWorld, name: string) => conditionOf(recordOf(world, name)?.status, "Succeeded");

describe("the snapshot reconciler, beside that of sandboxes", () => {
  it("contradicts no end, publishes nothing that failed, and ends every record, whatever happens", async () => {
    await fc.assert(
      fc.asyncProperty(specs, mostlyRuns, steps, async (spec, runs, all) => {
        const world = await beginning(spec, runs);
        for (const next of all) await perform(world, next);
        await world.runUntil(world.cluster.nowMs + LONG_MS);
        expect([world.openRecords, world.broken]).toEqual([[], []]);
      }),
      { numRuns: 500 },
    );
  }, 60_000);

  it("lets a sandbox go at its deadline, though no mounter does anything any more", async () => {
    await fc.assert(
      fc.asyncProperty(specs, mostlyRuns, steps, async (spec, runs, all) => {
        const world = await beginning(spec, runs);
        for (const next of all) await perform(world, next);
        world.mounter.isAlive = false;
        world.cluster.remove(SANDBOXES.plural, REF);
        await world.runUntil(world.cluster.nowMs + 31_000);
        expect([world.left, world.broken]).toEqual([[], []]);
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  it("takes a snapshot with one write, and tells and counts its end once", async () => {
    const world = await runningWorld({});
    world.snapshot("r1", "x");
    const before = world.cluster.writes;
    await world.settle();
    expect(endOf(world, "r1")?.status).toBe("True");
    // One is the operator's, two are the mounter's: its gate, and the end.
    expect(world.cluster.writes - before).toBe(3);
    expect(world.operator.told.filter((reason) => reason.startsWith("Snapshot"))).toEqual(["SnapshotComplete"]);
    await world.runUntil(world.cluster.nowMs + 20_000);
    expect(recordOf(world, "r1")).toBeUndefined();
    expect(world.store.names.has("x")).toBe(true);
  });

  it("takes those of one name one after the other, the last one last", async () => {
    const world = await runningWorld({});
    world.snapshot("r1", "x");
    world.cluster.nowMs += 1000;
    world.snapshot("r2", "x");
    for (const kind of KINDS) world.operator.hear(kind);
    await world.reconcile("snapshot", "r2");
    expect(endOf(world, "r2")).toMatchObject({ status: "Unknown", reason: "WaitingForTurn" });
    await world.settle();
    expect(world.store.names.get("x")).toBe(recordOf(world, "r2")?.metadata.uid);
    expect([endOf(world, "r1")?.status, endOf(world, "r2")?.status, world.broken]).toEqual(["True", "True", []]);
  });

  it("ends a record whose node is gone without waiting for its deadline", async () => {
    const world = await runningWorld({});
    world.mounter.isAlive = false;
    world.snapshot("r1", "x");
    await world.settle();
    world.cluster.remove(PODS.plural, POD, { force: true });
    await world.settle();
    expect(endOf(world, "r1")).toBeUndefined();
    world.cluster.remove(NODES.plural, { name: "node-1" });
    await world.runUntil(world.cluster.nowMs + 15_000);
    expect(endOf(world, "r1")).toMatchObject({ status: "False", reason: "SandboxLost" });
  });

  it.each([false, true])(
    "saves a sandbox at its end; the operator is started anew in the middle: %s",
    async (restarts) => {
      const world = await runningWorld(SAVED);
      world.mounter.isAlive = false;
      world.cluster.remove(SANDBOXES.plural, REF);
      await world.settle();
      expect(conditionOf(world.cluster.find(SANDBOXES, REF)?.status, "Ready")?.reason).toBe(
        "RootfsSnapshottingInProgress",
      );
      expect(world.cluster.find(PODS, POD)?.metadata.deletionTimestamp).toBeUndefined();
      if (restarts) world.operator = new ModelOperator(world.cluster, WITH_SNAPSHOTS);
      world.mounter.isAlive = true;
      await world.settle();
      expect([world.left, world.store.published.size, world.broken]).toEqual([[], 1, []]);
      expect(world.operator.told).toContain("SnapshotSucceeded");
    },
  );

  it("saves a sandbox whose pod others remove, before kubelet stops it", async () => {
    const world = await runningWorld(SAVED);
    world.cluster.remove(PODS.plural, POD);
    world.finish();
    expect(world.cluster.find(PODS, POD)).toBeDefined();
    await world.settle();
    const { status } = world.cluster.find(SANDBOXES, REF) ?? {};
    expect([conditionOf(status, "Cause")?.reason, conditionOf(status, "RootfsSnapshot")?.reason]).toEqual([
      "SandboxLost",
      "RootfsSnapshotComplete",
    ]);
    expect([world.cluster.all(PODS), world.store.names.size]).toEqual([[], 1]);
  });

  it("gives up no last snapshot because its copy of the record is behind", async () => {
    const world = await runningWorld(SAVED);
    world.mounter.isAlive = false;
    world.cluster.remove(SANDBOXES.plural, REF);
    await world.settle();
    world.operator = world.standby.lead();
    for (const kind of [SANDBOXES.plural, PODS.plural]) world.operator.hear(kind);
    world.kubelet("ended");
    world.operator.hear(PODS.plural);
    await world.reconcile("sandbox", "a");
    expect(world.broken).toEqual([]);
    expect(conditionOf(world.cluster.find(SANDBOXES, REF)?.status, "RootfsSnapshot")?.reason).toBe(
      "RootfsSnapshottingInProgress",
    );
  });

  it("ends no record at its deadline whose copy does not show that it may be published", async () => {
    const world = await runningWorld({});
    world.snapshot("r1", "x");
    await world.catchUp();
    for (let stage = 0; stage < 2; stage += 1) await world.mount();
    expect(recordOf(world, "r1")?.status?.publishBy).toBeDefined();
    world.cluster.nowMs += 59_000;
    await world.mount();
    world.cluster.nowMs += 5000;
    await world.reconcile("snapshot", "r1");
    expect([endOf(world, "r1"), world.store.published.size]).toEqual([undefined, 1]);
    await world.settle();
    expect([endOf(world, "r1")?.status, world.broken]).toEqual(["True", []]);
  });

  it("lets a sandbox go at once whose record is refused for good, and tries again where it may pass", async () => {
    for (const [status, seconds] of [
      [403, 0],
      [500, 10],
    ] as const) {
      const world = await runningWorld(SAVED);
      world.cluster.refusals.set(ROOTFS_SNAPSHOTS.plural, new KubeError(status, "no", { reason: "No" }));
      world.cluster.remove(SANDBOXES.plural, REF);
      const atMs = world.cluster.nowMs + seconds * 1000;
      await world.runUntil(atMs);
      expect(world.left.length).toBe(status === 403 ? 0 : 2);
      world.cluster.refusals.clear();
      await world.runUntil(atMs + 5000);
      expect([world.left, world.store.published.size, world.broken]).toEqual([[], status === 403 ? 0 : 1, []]);
    }
  });

  it("saves a second sandbox of the name, too, though the first one's record still tells of it", async () => {
    const world = await runningWorld(SAVED);
    world.cluster.remove(SANDBOXES.plural, REF);
    await world.settle();
    const first = recordOf(world, "a-termination")?.metadata;
    expect([world.left, first?.name, first?.ownerReferences ?? []]).toEqual([[], "a-termination", []]);
    world.create();
    await world.settle();
    world.kubelet("taken");
    world.kubelet("running");
    await world.settle();
    world.cluster.remove(SANDBOXES.plural, REF);
    await world.settle();
    expect([world.left, world.store.published.size, world.broken]).toEqual([[], 2, []]);
    expect(recordOf(world, "a-termination")?.metadata.uid).not.toBe(first?.uid);
  });
});

describe("an operator that takes no snapshots", () => {
  it("fails a record at once, says so, and removes it after its time", async () => {
    const cluster = new ModelCluster();
    const ref = recordRef("r1");
    const { spec } = sampleRecord({ ttlSecondsAfterFinished: 20 });
    cluster.insert(ROOTFS_SNAPSHOTS.plural, { metadata: ref, spec } as RootfsSnapshotResource);
    const operator = new ModelOperator(cluster, SETTINGS);
    await operator.reconcile(objectKey(ref), "snapshot");
    const failed = cluster.find(ROOTFS_SNAPSHOTS, ref);
    expect(conditionOf(failed?.status, "Succeeded")).toMatchObject({ status: "False", reason: "NotSupported" });
    const look = await operator.reconcile(objectKey(ref), "snapshot");
    expect(operator.told).toEqual(["SnapshotFailed"]);
    cluster.nowMs = look.requeueAtMs ?? 0;
    await operator.reconcile(objectKey(ref), "snapshot");
    expect(cluster.find(ROOTFS_SNAPSHOTS, ref)).toBeUndefined();
  });
});
