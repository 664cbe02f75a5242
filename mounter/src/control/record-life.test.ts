import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { SnapshotManifest } from "#api/snapshot-manifest.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { SNAPSHOT_DATA_FINALIZER } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { silentLog } from "#core/log.ts";
import { SETTLE_MS } from "#core/snapshot/publish-times.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import { createInterleaving, type Interleaving } from "../../../test/mounter/interleaving.ts";
import {
  createModelRecords,
  createModelRecordsClient,
  type ModelRecords,
} from "../../../test/mounter/model-records.ts";
import {
  brokenLayers,
  createModelObjects,
  createModelStore,
  type ModelObjects,
  type Step,
} from "../../../test/mounter/model-store.ts";
import { sampleRequest } from "../../../test/mounter/sample-snapshot.ts";
import { createQuota } from "../domain/quota.ts";
import { COLLECT_PATIENCE, collectSnapshots } from "../node/snapshot/collect-snapshots.ts";
import { faultCode } from "../node/snapshot/fault-code.ts";
import { publishSnapshot } from "../node/snapshot/publish-snapshot.ts";
import { readStanding } from "../node/snapshot/read-standing.ts";
import { removeSnapshot } from "../node/snapshot/remove-snapshot.ts";
import { snapshotFailure } from "../node/snapshot/snapshot-reason.ts";
import type { ObjectStore } from "../storage/port.ts";
import { StoreError } from "../storage/store-error.ts";
import { untilAborted } from "../storage/until-aborted.ts";
import { createRecordReconciler } from "./record-reconciler.ts";
import { createRecordSettler } from "./record-settler.ts";
import { createRecordWrites } from "./record-writes.ts";
import type { SnapshotWork } from "./snapshot-work.ts";

const never = new AbortController().signal;
const call = { signal: never };
const namespace = "team";
const NODE = "node-1";
const CONTAINER = "a".repeat(64);
/** What the network may still bring after its sender has given up. */
const MOST_ON_THE_WAY_MS = 50_000;
const LOOK_MS = 2000;
const manifestOf = (bytes: Uint8Array): SnapshotManifest =>
  SnapshotManifest.parse(JSON.parse(new TextDecoder().decode(bytes)));

interface World {
  readonly model: ModelObjects;
  readonly kube: ModelRecords;
  readonly turns: Interleaving;
  /** Records whose manifest ever stood. */
  readonly published: Set<string>;
  readonly seen: Seen;
  attempts: number;
  /** Nobody deletes a record any more. */
  isLeftAlone: boolean;
  isOver: boolean;
}

interface Seen {
  succeeded: number;
  failed: number;
  settled: number;
  removed: number;
  killed: number;
}

/** Who aborts a write does not know whether it arrives; what is too long on its way does not. */
function storeOf(world: World, step: Step): ObjectStore {
  const slow: Step = async (when, what) => {
    const sentMs = world.model.nowMs;
    await step(when, what);
    if (when === "before" && world.model.nowMs - sentMs > MOST_ON_THE_WAY_MS)
      throw new StoreError("unavailable", `${what} was lost.`);
  };
  const store = createModelStore(world.model, slow);
  return {
    ...store,
    put: (key, bytes, condition, options) => untilAborted(store.put(key, bytes, condition, options), options.signal),
  };
}

function workOf(world: World, store: ObjectStore): SnapshotWork {
  const { turns } = world;
  return {
    async dump(_target, { signal }) {
      await turns.clock.sleep(turns.random(20_000), signal);
      return { folder: "folder", remove: async () => undefined };
    },
    async write(_dump, job, _target, options) {
      const bytes = new TextEncoder().encode(`${job.uid} ${(world.attempts += 1)}`);
      const request = sampleRequest({ namespace, name: job.snapshotName, writeId: job.uid, bytes });
      const facts = { ...request.facts, createdAt: job.createdAt };
      const newAttempt = (): string => `t${world.attempts}`;
      const ports = { store, clock: turns.clock, newAttempt };
      const written = await publishSnapshot(ports, { ...request, facts }, options);
      return written.kind === "superseded" ? { kind: "superseded" } : written;
    },
    async find({ snapshotName: name, uid }, options) {
      const standing = await readStanding(store, { namespace, name }, options);
      if (standing.kind !== "manifest" || standing.manifest.writeId !== uid) return undefined;
      return { kind: "published", key: `rootfssnapshots/${namespace}/${name}.json`, manifest: standing.manifest };
    },
    failure: snapshotFailure,
    faultCode,
  };
}

const POD: Pod = {
  metadata: {
    namespace,
    name: "box-pod",
    uid: "pod-1",
    ownerReferences: [{ apiVersion: "v1", kind: "Sandbox", name: "box", uid: "u" }],
  },
  spec: { nodeName: NODE, containers: [{ name: "main", image: "debian:13" }] },
  status: { containerStatuses: [{ name: "main", containerID: `containerd://${CONTAINER}`, state: { running: {} } }] },
};

function writesOf(world: World, step: Step) {
  const { turns, kube } = world;
  const fault = () => (turns.random(15) === 0 ? (["before", "after"] as const)[turns.random(2)] : undefined);
  const client = createModelRecordsClient(kube, step, fault) as KubeClient;
  const options = { client, clock: turns.clock, random: () => 0.5, log: silentLog, upsert: () => undefined };
  return createRecordWrites(options);
}

/** One life of the node's mounter after another; each is killed at some step, the last one is not. */
async function mount(world: World, lives: number): Promise<void> {
  const { turns, kube } = world;
  for (let left = lives; left > 0; left -= 1) {
    const { step, killed } = turns.client(left > 1 ? 1 + turns.random(80) : undefined);
    let isKilled = false;
    void killed.then(() => {
      isKilled = true;
      world.seen.killed += 1;
    });
    const store = storeOf(world, step);
    const reconciler = createRecordReconciler(
      {
        nodeName: NODE,
        work: workOf(world, store),
        writes: writesOf(world, step),
        readPod: async () => POD,
        slots: createQuota(2),
        clock: turns.clock,
        random: () => 0.5,
        log: silentLog,
        find: (key) => kube.records.get(key),
        enqueue: () => undefined,
        enqueueAt: () => undefined,
      },
      never,
    );
    while (!isKilled && !world.isOver) {
      for (const key of kube.records.keys()) void reconciler.reconcile(key, never).catch(() => undefined);
      await turns.clock.sleep(LOOK_MS);
    }
  }
}

/** The operator's part: one record of a name at a time, and no end before it is certain. */
async function operate(world: World): Promise<void> {
  const { kube, turns } = world;
  const fail = (key: string): void => {
    const at = new Date(turns.clock.now()).toISOString();
    const conditions = [
      { type: "Succeeded", status: "False", reason: "DeadlineExceeded", message: "Late.", lastTransitionTime: at },
    ];
    kube.change(key, { status: { conditions, completionTime: at } });
  };
  // Clocks of two machines are never the same.
  const aheadMs = turns.random(30_000);
  while (!world.isOver) {
    const nowMs = turns.clock.now() + aheadMs;
    for (const [key, record] of kube.records) {
      const { status = {}, metadata, spec } = record;
      if (hasEnded(record)) continue;
      const deadlineMs = Date.parse(metadata.creationTimestamp ?? "") + spec.timeoutSeconds * 1000;
      const publishByMs = status.publishBy === undefined ? undefined : Date.parse(status.publishBy);
      if (nowMs >= deadlineMs && publishByMs === undefined) fail(key);
      else if (nowMs >= deadlineMs && nowMs > (publishByMs ?? 0) + SETTLE_MS && status.settle !== true) {
        world.seen.settled += 1;
        kube.change(key, { status: { settle: true } });
      } else if (status.nodeName === undefined && isTurnOf(kube, record)) {
        const containerID = `containerd://${CONTAINER}`;
        const startTime = new Date(nowMs).toISOString();
        kube.change(key, {
          status: { startTime, nodeName: NODE, podUid: "pod-1", containerName: "main", containerID },
        });
      }
    }
    await turns.clock.sleep(1000);
  }
}

function isTurnOf({ records }: ModelRecords, { metadata, spec }: RootfsSnapshotResource): boolean {
  if (metadata.deletionTimestamp !== undefined) return false;
  return ![...records.values()].some(
    (other) =>
      other.spec.snapshotName === spec.snapshotName &&
      (other.metadata.creationTimestamp ?? "") < (metadata.creationTimestamp ?? "") &&
      !hasEnded(other),
  );
}

async function settle(world: World): Promise<void> {
  const { turns, kube } = world;
  const { step } = turns.client();
  const store = storeOf(world, step);
  const settler = createRecordSettler({
    find: (key) => kube.records.get(key),
    work: workOf(world, store),
    writes: writesOf(world, step),
    removeData: async ({ snapshotName: name, writeId }) => {
      const removed = await removeSnapshot(store, { namespace, name, writeId }, call);
      if (removed === "removed") world.seen.removed += 1;
    },
  });
  while (!world.isOver) {
    for (const key of kube.records.keys()) await settler(key, never).catch(() => undefined);
    await turns.clock.sleep(5000);
  }
}

const hasEnded = (record: RootfsSnapshotResource): boolean => isFinished(snapshotState(record).phase);

function insertRecords({ kube, model, turns }: World): void {
  for (let id = 1; id <= 4; id += 1) {
    kube.insert({
      metadata: {
        namespace,
        name: `record-${id}`,
        uid: `uid-${id}`,
        creationTimestamp: new Date(model.nowMs + id * 1000).toISOString().replace(/\.\d+Z/, "Z"),
        finalizers: turns.random(2) === 0 ? [SNAPSHOT_DATA_FINALIZER] : [],
      },
      spec: {
        sandboxName: "box",
        snapshotName: turns.random(2) === 0 ? "work" : "base",
        timeoutSeconds: 20 + turns.random(300),
        ttlSecondsAfterFinished: 300,
      },
    });
  }
}

/** Somebody deletes records, at any time. It is not over before that. */
async function removeSome(world: World): Promise<void> {
  const { kube, turns } = world;
  for (let left = turns.random(3); left > 0; left -= 1) {
    await turns.clock.sleep(turns.random(200_000));
    kube.remove(`${namespace}/record-${1 + turns.random(4)}`);
  }
  world.isLeftAlone = true;
}

function check(world: World): void {
  const { model, kube, published } = world;
  for (const { key, bytes } of model.objects.values())
    if (key.endsWith(".json")) published.add(manifestOf(bytes).writeId);
  for (const record of kube.records.values()) {
    const { phase } = snapshotState(record);
    if (phase === "Succeeded") expect(published.has(record.metadata.uid ?? "")).toBe(true);
    if (phase === "Failed") expect(published.has(record.metadata.uid ?? "")).toBe(false);
  }
  expect(brokenLayers(model, (bytes) => manifestOf(bytes).layers)).toEqual([]);
}

describe("records, the mounter that works on them, the operator and the one that settles", () => {
  test("a record never says other than the store, whoever is killed and whatever answer is lost", async () => {
    const seen: Seen = { succeeded: 0, failed: 0, settled: 0, removed: 0, killed: 0 };
    const worlds = fc.tuple(fc.integer(), fc.constantFrom(5, 20, 60), fc.integer({ min: 1, max: 6 }));
    const run = async ([seed, leapOneIn, lives]: readonly [number, number, number]): Promise<void> => {
      const model = createModelObjects();
      const turns = createInterleaving(model, seed, { stepMs: 200, leapMs: 90_000, leapOneIn });
      const kube = createModelRecords(() => model.nowMs);
      const world: World = {
        model,
        kube,
        turns,
        published: new Set(),
        seen,
        attempts: 0,
        isLeftAlone: false,
        isOver: false,
      };
      insertRecords(world);
      const work = [mount(world, lives), operate(world), settle(world), removeSome(world)];
      let state = "";
      await turns.run(work, () => {
        const now = `${world.isLeftAlone} ${model.versions} ${[...kube.records.values()].map(({ metadata }) => metadata.resourceVersion).join()}`;
        if (now === state) return;
        state = now;
        check(world);
        world.isOver =
          world.isLeftAlone &&
          [...kube.records.values()].every(
            (record) => hasEnded(record) && record.metadata.deletionTimestamp === undefined,
          );
      });
      for (const record of kube.records.values()) {
        if (snapshotState(record).phase === "Succeeded") seen.succeeded += 1;
        else seen.failed += 1;
      }
      await checkStore(world);
    };
    await fc.assert(fc.asyncProperty(worlds, run), { numRuns: 600 });
    // The test is worth nothing when none of this ever happens.
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(5);
  }, 60_000);
});

/** What stands is what the newest record that succeeded wrote; nothing else is left once it was collected. */
async function checkStore({ model, kube }: World): Promise<void> {
  const store = createModelStore(model);
  for (let round = 0; round < 3; round += 1) {
    await collectSnapshots(store, { namespace, ...COLLECT_PATIENCE }, call);
    model.nowMs += COLLECT_PATIENCE.graceMs + 1;
  }
  const manifests = [...model.objects.values()]
    .filter(({ key }) => key.endsWith(".json"))
    .map(({ bytes }) => manifestOf(bytes));
  const named = manifests.flatMap(({ layers }) => layers.map(({ key }) => key));
  expect([...model.objects.keys()].filter((key) => key.endsWith(".zst")).toSorted()).toEqual(named.toSorted());
  for (const { name, writeId } of manifests) {
    const newest = [...kube.records.values()]
      .filter((record) => record.spec.snapshotName === name && snapshotState(record).phase === "Succeeded")
      .toSorted((a, b) => ((a.metadata.creationTimestamp ?? "") < (b.metadata.creationTimestamp ?? "") ? 1 : -1))[0];
    // Its record may have been removed without its data.
    if (newest !== undefined && kube.records.size === 4) expect(writeId).toBe(newest.metadata.uid);
  }
}
