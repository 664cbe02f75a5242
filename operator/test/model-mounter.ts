import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import type { ObjectRef } from "#core/kubernetes/client.ts";
import { createdAtMsOf } from "#core/kubernetes/created-at.ts";
import { isConflict, isNotFound } from "#core/kubernetes/kube-error.ts";
import { podName } from "#core/kubernetes/names.ts";
import { objectKey } from "#core/kubernetes/object-key.ts";
import { PODS, ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { isFinished, type SnapshotReason } from "#core/snapshot/snapshot.ts";
import { snapshotNameOf } from "#operator/domain/snapshot/turn.ts";
import type { ModelCluster } from "./model-cluster.ts";

/** The store: which write each name means, and all writes that it ever meant. */
export interface ModelStore {
  readonly names: Map<string, string>;
  readonly published: Set<string>;
}

const WINDOW_MS = 60_000;

interface Job {
  readonly uid: string;
  stage: "dumped" | "gated" | "put";
  publishBeforeMs: number;
}

/** The mounter of one node as the rules of a record's life bind it; it works on what it last looked at. */
export class ModelMounter {
  readonly #cluster: ModelCluster;
  readonly #store: ModelStore;
  readonly #jobs = new Map<string, Job>();
  readonly #seen = new Map<string, RootfsSnapshotResource>();
  isAlive = true;

  constructor(cluster: ModelCluster, store: ModelStore) {
    this.#cluster = cluster;
    this.#store = store;
  }

  /** Killed, and started again at once: it knows nothing but what the objects and the store say. */
  restart(): void {
    this.#jobs.clear();
    this.#seen.clear();
  }

  look(ref: ObjectRef): void {
    const record = this.#cluster.find(ROOTFS_SNAPSHOTS, ref);
    if (record === undefined) this.#seen.delete(objectKey(ref));
    else this.#seen.set(objectKey(ref), record);
  }

  /** One stage of the record's job, by what was seen of the record. */
  async work(ref: ObjectRef): Promise<void> {
    const key = objectKey(ref);
    const record = this.#seen.get(key);
    if (!this.isAlive || record?.status?.nodeName === undefined) return;
    const job = this.#jobs.get(key);
    if (isFinished(snapshotState(record).phase)) return void this.#jobs.delete(key);
    const { uid = "" } = record.metadata;
    try {
      if (job?.uid !== uid) await this.#begin(key, record);
      else if (job.stage === "dumped") await this.#gate(job, record);
      else if (job.stage === "gated") this.#put(key, job, record);
      else await this.#end(record);
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error;
      this.#seen.delete(key);
    }
  }

  async #begin(key: string, record: RootfsSnapshotResource): Promise<void> {
    const { uid = "", namespace = "" } = record.metadata;
    if (this.#store.names.get(snapshotNameOf(record)) === uid) return this.#end(record);
    if (this.#cluster.nowMs >= deadlineMs(record)) return;
    const pod = this.#cluster.find(PODS, { namespace, name: podName(record.spec.sandboxName) });
    const container = pod?.status?.containerStatuses?.find(({ name }) => name === record.status?.containerName);
    if (pod?.metadata.uid !== record.status?.podUid || container?.state?.running === undefined) {
      return this.#fail(record, "SandboxLost");
    }
    this.#jobs.set(key, { uid, stage: "dumped", publishBeforeMs: 0 });
  }

  async #gate(job: Job, record: RootfsSnapshotResource): Promise<void> {
    if (this.#cluster.nowMs >= deadlineMs(record)) return;
    const beforeMs = this.#cluster.nowMs + WINDOW_MS;
    await this.#write(record, { publishBy: new Date(beforeMs).toISOString() }, { guarded: true });
    job.publishBeforeMs = beforeMs;
    job.stage = "gated";
  }

  #put(key: string, job: Job, record: RootfsSnapshotResource): void {
    if (this.#cluster.nowMs > job.publishBeforeMs) return void this.#jobs.delete(key);
    this.#store.names.set(snapshotNameOf(record), job.uid);
    this.#store.published.add(job.uid);
    job.stage = "put";
  }

  /** As the holder of the collector's lease. */
  async settle(ref: ObjectRef): Promise<void> {
    const record = this.#cluster.find(ROOTFS_SNAPSHOTS, ref);
    if (!this.isAlive || record?.status?.settle !== true || isFinished(snapshotState(record).phase)) return;
    const isThere = this.#store.names.get(snapshotNameOf(record)) === record.metadata.uid;
    await (isThere ? this.#end(record) : this.#fail(record, "DeadlineExceeded"));
  }

  #end(record: RootfsSnapshotResource): Promise<void> {
    return this.#write(record, {
      completionTime: this.#cluster.time(),
      writeId: record.metadata.uid ?? "",
      conditions: [condition("True", "Succeeded", this.#cluster.time())],
    });
  }

  #fail(record: RootfsSnapshotResource, reason: SnapshotReason): Promise<void> {
    const at = this.#cluster.time();
    const status = { completionTime: at, conditions: [condition("False", reason, at)] };
    return this.#write(record, status, { guarded: true });
  }

  async #write(
    { metadata }: RootfsSnapshotResource,
    status: RootfsSnapshotStatusResource,
    { guarded = false } = {},
  ): Promise<void> {
    const { name, namespace, uid, resourceVersion } = metadata;
    const own = { name, namespace, uid, ...(guarded ? { resourceVersion } : {}) } as typeof metadata;
    const before = this.#cluster.find(ROOTFS_SNAPSHOTS, own);
    // What is guarded fails by itself when somebody else has ended the record.
    if (!guarded && (before === undefined || isFinished(snapshotState(before).phase))) return;
    const write = { fieldManager: "atoll-mounter", subresource: "status" };
    const call = { signal: new AbortController().signal };
    const written = await this.#cluster
      .client()
      .apply(ROOTFS_SNAPSHOTS, { metadata: own, status } as RootfsSnapshotResource, call, write);
    this.#seen.set(objectKey(own), written);
  }
}

function deadlineMs(record: RootfsSnapshotResource): number {
  return createdAtMsOf(record) + record.spec.timeoutSeconds * 1000;
}

function condition(status: "True" | "False", reason: string, lastTransitionTime: string) {
  return { type: "Succeeded", status, reason, message: "", lastTransitionTime };
}
