import { describe, expect, test } from "vitest";
import { SnapshotManifest } from "#api/snapshot-manifest.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { silentLog } from "#core/log.ts";
import { ARRIVAL_MS } from "#core/snapshot/publish-times.ts";
import { createManualClock, type ManualClock } from "../../../test/harness/manual-clock.ts";
import { createModelRecords, createModelRecordsClient } from "../../../test/mounter/model-records.ts";
import { sampleRequest } from "../../../test/mounter/sample-snapshot.ts";
import { SnapshotFault } from "../domain/snapshot-fault.ts";
import { createQuota } from "../domain/quota.ts";
import { planRecord, type RecordJob } from "../domain/record/record-job.ts";
import { faultCode } from "../node/snapshot/fault-code.ts";
import { snapshotFailure } from "../node/snapshot/snapshot-reason.ts";
import { isSnapshotFault } from "../domain/snapshot-fault.ts";
import { StoreError } from "../storage/store-error.ts";
import { runRecordJob } from "./record-job.ts";
import { createRecordWrites } from "./record-writes.ts";
import type { SnapshotWork } from "./snapshot-work.ts";

const namespace = "team";
const KEY = `${namespace}/record`;
const CONTAINER = "a".repeat(64);
const never = new AbortController().signal;
const POD = {
  metadata: {
    namespace,
    name: "box-pod",
    uid: "pod-1",
    ownerReferences: [{ apiVersion: "v1", kind: "Sandbox", name: "box", uid: "u" }],
  },
  spec: { nodeName: "node-1", containers: [{ name: "main", image: "debian:13" }] },
  status: { containerStatuses: [{ name: "main", containerID: `containerd://${CONTAINER}`, state: { running: {} } }] },
};

interface World {
  readonly clock: ManualClock;
  /** Passed before a layer is uploaded, and before the manifest is put. */
  step: (what: "upload" | "put") => void;
  /** What the store says instead of taking anything: it is asked without an end. */
  trouble?: string;
  dumps: number;
  writes: number;
  manifest?: SnapshotManifest;
}

function workOf(world: World): SnapshotWork {
  return {
    async dump() {
      world.dumps += 1;
      return { folder: "folder", remove: async () => undefined };
    },
    async write(_dump, job, _target, call) {
      world.writes += 1;
      if (world.trouble !== undefined) {
        call.onProgress?.({ phase: "Uploading", bytesDone: 0, message: world.trouble });
        await world.clock.sleep(3_600_000, call.signal);
      }
      world.step("upload");
      await call.beforePublish(call.signal);
      world.step("put");
      const { facts } = sampleRequest({ namespace, name: job.snapshotName, writeId: job.uid, bytes: new Uint8Array() });
      world.manifest = SnapshotManifest.parse({ ...facts, formatVersion: 1, layers: [LAYER] });
      return { kind: "published", key: "manifest", manifest: world.manifest };
    },
    async find() {
      return world.manifest === undefined
        ? undefined
        : { kind: "published", key: "manifest", manifest: world.manifest };
    },
    failure: (error) => snapshotFailure(isSnapshotFault(error, "unsure") ? error.cause : error),
    faultCode,
  };
}

const DIGEST = `sha256:${"0".repeat(64)}`;
const LAYER = {
  key: "rootfssnapshots/team/work.uid-1-a.tar.zst",
  digest: DIGEST,
  bytes: 7,
  tarDigest: DIGEST,
  tarBytes: 9,
  entries: 1,
};

function begin(timeoutSeconds = 300) {
  const clock = createManualClock();
  const world: World = { clock, step: () => undefined, dumps: 0, writes: 0 };
  const kube = createModelRecords(clock.now);
  kube.insert({
    metadata: { namespace, name: "record", uid: "uid-1", creationTimestamp: new Date(clock.now()).toISOString() },
    spec: { sandboxName: "box", snapshotName: "work", timeoutSeconds, ttlSecondsAfterFinished: 300 },
    status: {
      nodeName: "node-1",
      podUid: "pod-1",
      containerName: "main",
      containerID: `containerd://${CONTAINER}`,
      startTime: new Date(clock.now()).toISOString(),
    },
  });
  const record = () => {
    const found = kube.records.get(KEY);
    if (found === undefined) throw new Error("The record is gone");
    return found;
  };
  const random = () => 0.5;
  const client = createModelRecordsClient(kube, async () => undefined) as KubeClient;
  const writes = createRecordWrites({ client, clock, random, log: silentLog, upsert: () => undefined });
  const plan = planRecord(record(), "node-1");
  if (plan.kind !== "take") throw new Error("It is not this node's");
  const run = (job: RecordJob = plan.job): Promise<void> =>
    runRecordJob(
      {
        nodeName: "node-1",
        work: workOf(world),
        writes,
        readPod: async () => POD,
        slots: createQuota(1),
        clock,
        random,
        log: silentLog,
      },
      job,
      { wanted: never, life: never },
    );
  return { world, clock, run, record, state: () => snapshotState(record()) };
}

const away = (): StoreError => new StoreError("unavailable", "Cannot write work of s3://b: connection refused.");

describe("runRecordJob", () => {
  test("a store that is away for a while costs nothing but that time, and the record says so", async () => {
    const { world, clock, run, state, record } = begin();
    const backMs = clock.now() + 90_000;
    world.step = () => {
      if (clock.now() < backMs) throw away();
    };
    const job = run();
    await clock.advance(60_000);
    expect(state().phase).toBe("Running");
    expect(state().progress).toMatchObject({ phase: "Uploading", message: expect.stringContaining("gives no answer") });
    expect(record().status?.progress?.message).toContain("connection refused");
    await clock.advance(60_000);
    await job;
    expect(state().phase).toBe("Succeeded");
    expect(world.dumps).toBe(1);
  });

  test("a store that stays away fails the record with its own words, before the record's time is over", async () => {
    const { world, clock, run, state } = begin(60);
    world.step = () => {
      throw away();
    };
    const job = run();
    await clock.advance(59_000);
    await job;
    expect(state()).toMatchObject({ phase: "Failed", reason: "StoreFailed" });
    expect(state().message).toContain("connection refused");
    expect(world.writes).toBeGreaterThan(3);
  });

  test("a store that gave no answer until time was over is said to be why, as it was asked only once", async () => {
    const { world, clock, run, state } = begin(10);
    world.trouble = "Cannot read work of s3://b: no answer within 3 s.";
    const job = run();
    await clock.advance(9000);
    expect(state().progress?.message).toContain(world.trouble);
    await clock.advance(2000);
    await job;
    expect(state()).toMatchObject({ phase: "Failed", reason: "StoreFailed" });
    expect(state().message).toContain(world.trouble);
    expect(world.writes).toBe(1);
  });

  test("a store that refuses is not asked again", async () => {
    const { world, run, state } = begin();
    world.step = () => {
      throw new StoreError("denied", "Cannot write work of s3://b: access denied.");
    };
    await run();
    expect(state()).toMatchObject({ phase: "Failed", reason: "StoreDenied" });
    expect(world.writes).toBe(1);
  });

  test("a manifest that may be on its way is waited for, and only then written again", async () => {
    const { world, clock, run, state } = begin();
    let sentMs = 0;
    world.step = (what) => {
      if (what !== "put") return;
      if (sentMs > 0) return;
      sentMs = clock.now();
      throw new SnapshotFault("unsure", "It is not known whether it stands.", { cause: away() });
    };
    const job = run();
    await clock.advance(ARRIVAL_MS - 1000);
    expect([state().phase, world.writes]).toEqual(["Running", 1]);
    await clock.advance(10_000);
    await job;
    expect([state().phase, world.writes]).toEqual(["Succeeded", 2]);
  });

  test("a clock that was not heard while a manifest was on its way is heard afterwards", async () => {
    const { world, clock, run, state } = begin(30);
    world.step = (what) => {
      if (what === "put") throw new SnapshotFault("unsure", "It is not known whether it stands.", { cause: away() });
    };
    const job = run();
    await clock.advance(ARRIVAL_MS - 1000);
    expect(state().phase).toBe("Running");
    await clock.advance(2000);
    await job;
    expect(state()).toMatchObject({ phase: "Failed", reason: "StoreFailed" });
    expect(world.writes).toBe(1);
  });
});
