import type { SandboxRootfsRestore } from "#api/crd/sandbox.ts";
import { createChange } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeClient, Resource } from "#core/kubernetes/client.ts";
import { createController, type Controller } from "#core/kubernetes/control/controller.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";
import { isConflict, isNotFound } from "#core/kubernetes/kube-error.ts";
import { podName, type RestoreOwner } from "#core/kubernetes/names.ts";
import { keyOf, objectKey, refOfKey } from "#core/kubernetes/object-key.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import type { Log } from "#core/log.ts";
import type { Quota } from "../domain/quota.ts";
import type { RecordJob } from "../domain/record/record-job.ts";
import { restoreNeed, type RestoreJob } from "../domain/restore/restore-job.ts";
import { isStopOver } from "../domain/stop-over.ts";
import { createCollector } from "./collector.ts";
import type { HoldQuestion } from "./hold-path.ts";
import { BY_SANDBOX_UID, createNodeStores, type NamespaceStores } from "./node-stores.ts";
import type { CollectedNamespace, MounterMetrics } from "./ports.ts";
import { createRecordReconciler } from "./record-reconciler.ts";
import type { RecordSettlerOptions } from "./record-settler.ts";
import { createRecordWrites, FIELD_MANAGER } from "./record-writes.ts";
import { createRestoreReconciler } from "./restore-reconciler.ts";
import type { RestoreWork } from "./restore-work.ts";
import { createSnapshotNews } from "./snapshot-news.ts";
import type { SnapshotWork } from "./snapshot-work.ts";

/** The mounter of one node, without what connects it to a process. */
export interface NodeMounter {
  /** Works until the signal fires; then what is under way is left to its next life. */
  run(signal: AbortSignal): Promise<void>;
  /** Works for all mounters until the signal fires. */
  collect(term: AbortSignal): Promise<void>;
  /** Resolves when the answer to kubelet's question is yes. */
  hold(question: HoldQuestion, signal: AbortSignal): Promise<void>;
  /** Resolves when no snapshot is taken and no container waits for its stop: what would be lost, or begun anew. */
  quiet(signal: AbortSignal): Promise<void>;
  /** What it waits for before it can do its work; empty when it can. */
  readonly waitsFor: readonly string[];
  /** Snapshots that are taken, sandboxes that wait. */
  readonly active: { readonly snapshots: number; readonly restores: number };
}

export interface NodeMounterOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  readonly namespaces: readonly string[];
  readonly snapshotWork: SnapshotWork;
  readonly restoreWork: RestoreWork;
  readonly removeData: RecordSettlerOptions["removeData"];
  readonly collectNamespace: (namespace: string, signal: AbortSignal) => Promise<CollectedNamespace>;
  /** Snapshots that are taken at once. */
  readonly slots: Quota;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: MounterMetrics;
}

/** Reconciles only begin and end work: few do. */
const CONCURRENCY = 8;
const LOOK_MS = 100;

export function createNodeMounter(options: NodeMounterOptions): NodeMounter {
  const { client, nodeName, namespaces, clock, random, log, metrics } = options;
  const stores = createNodeStores(client, namespaces, { nodeName, clock, random, log, observe: metrics });
  const life = new AbortController();
  const news = createSnapshotNews(clock);
  const sandboxChange = createChange();
  const storesOf = (namespace = ""): NamespaceStores | undefined => stores.of(namespace);
  const findRecord = (key: string) => storesOf(refOfKey(key).namespace)?.records.get(key);
  const findOwner = ({ namespace, sandboxUid }: RestoreOwner) => ({
    sandbox: storesOf(namespace)?.sandboxes.byIndex(BY_SANDBOX_UID, sandboxUid)[0],
    pod: storesOf(namespace)?.pods.byIndex(BY_SANDBOX_UID, sandboxUid)[0],
  });
  const findSandbox = (key: string) => {
    const { namespace = "", name } = refOfKey(key);
    return {
      sandbox: storesOf(namespace)?.sandboxes.get(key),
      pod: storesOf(namespace)?.pods.get(objectKey({ namespace, name: podName(name) })),
    };
  };
  const writes = createRecordWrites({
    client,
    clock,
    random,
    log,
    upsert: (record) => storesOf(record.metadata.namespace)?.records.upsert(record),
  });
  const controller = (name: string, keyField: string, reconcile: Reconcile): Controller => {
    const observer = metrics.controller(name);
    const made = createController(reconcile, { clock, random, log, observer, keyField, concurrency: CONCURRENCY });
    metrics.watchQueue(name, made);
    return made;
  };
  const records = createRecordReconciler(
    {
      nodeName,
      work: options.snapshotWork,
      writes,
      readPod: (job, signal) => readPod(client, job, signal),
      slots: options.slots,
      clock,
      random,
      log,
      find: findRecord,
      enqueue: (key) => recordLoop.enqueue(key),
      enqueueAt: (key, atMs) => recordLoop.enqueueAt(key, atMs),
      observer: metrics.records,
    },
    life.signal,
  );
  const restores = createRestoreReconciler(
    {
      work: options.restoreWork,
      clock,
      random,
      log,
      find: findSandbox,
      findOwner,
      write: (job, said, signal) => writeRestores(client, job, said, signal),
      untilWritten: news.wait,
      enqueueAt: (key, atMs) => restoreLoop.enqueueAt(key, atMs),
      observer: metrics.restores,
    },
    life.signal,
  );
  const recordLoop: Controller = controller("snapshot", "record", records.reconcile);
  const restoreLoop: Controller = controller("restore", "sandbox", restores.reconcile);
  const collector = createCollector({
    namespaces,
    records: stores.all.map((store) => store.records),
    find: findRecord,
    work: options.snapshotWork,
    removeData: options.removeData,
    writes,
    collect: options.collectNamespace,
    clock,
    random,
    log,
    metrics,
  });

  const listen = ({ sandboxes, pods, records: recordsOf }: NamespaceStores): void => {
    recordsOf.onChange((key, now, before) => {
      recordLoop.enqueue(key);
      if (now === undefined || snapshotState(now).phase !== "Succeeded") return;
      if (before !== undefined && snapshotState(before).phase === "Succeeded") return;
      news.tell(now.metadata.namespace ?? "", now.spec.snapshotName ?? now.spec.sandboxName);
    });
    sandboxes.onChange((key) => {
      restoreLoop.enqueue(key);
      sandboxChange.notify();
    });
    pods.onChange((_key, now, before) => {
      for (const key of sandboxKeys(now ?? before)) restoreLoop.enqueue(key);
    });
  };

  /** What an earlier life left is cleared away as soon as it is known who still needs it. */
  const begin = async (signal: AbortSignal): Promise<void> => {
    await stores.synced(signal);
    const needed = stores.all
      .flatMap(({ pods }) => [...pods.values()])
      .flatMap((pod) => {
        const [key] = sandboxKeys(pod);
        const need = restoreNeed(key === undefined ? undefined : findSandbox(key).sandbox, pod);
        return need.kind === "needed" ? [need.job] : [];
      });
    await options.restoreWork.sweep(needed).catch((error: unknown) => {
      log.error("What an earlier life left cannot be cleared away", { error });
    });
    for (const store of stores.all) listen(store);
    for (const store of stores.all) {
      for (const record of store.records.values()) recordLoop.enqueue(keyOf(record));
      for (const pod of store.pods.values()) for (const key of sandboxKeys(pod)) restoreLoop.enqueue(key);
    }
    isBegun = true;
  };
  let isBegun = false;
  /** Containers that wait for their stop. */
  let stops = 0;

  return {
    async run(signal) {
      const end = (): void => life.abort(signal.reason);
      if (signal.aborted) end();
      else signal.addEventListener("abort", end, { once: true });
      const begun = begin(signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      await Promise.all([stores.run(signal), begun, recordLoop.run(signal), restoreLoop.run(signal)]);
      await Promise.all([records.idle(), restores.idle()]);
    },
    async collect(term) {
      await stores.synced(term).catch(() => undefined);
      if (!term.aborted) await collector.lead(term);
    },
    async hold({ kind, owner }, signal) {
      await stores.synced(signal);
      if (kind === "restore") return restores.untilReleased(owner, signal);
      stops += 1;
      try {
        while (!isStopOver(findOwner(owner).sandbox)) await sandboxChange.wait(signal);
      } finally {
        stops -= 1;
      }
    },
    async quiet(signal) {
      while (records.active > 0 || stops > 0) await clock.sleep(LOOK_MS, signal);
    },
    get waitsFor() {
      return isBegun ? [] : ["its caches to be filled"];
    },
    get active() {
      return { snapshots: records.active, restores: restores.active };
    },
  };
}

function sandboxKeys(pod: Pod | undefined): readonly string[] {
  const { namespace = "", ownerReferences = [] } = pod?.metadata ?? {};
  return ownerReferences.filter(({ kind }) => kind === "Sandbox").map(({ name }) => objectKey({ namespace, name }));
}

/** As it is now: what a record says was decided upon another state. */
async function readPod(client: KubeClient, job: RecordJob, signal: AbortSignal): Promise<Pod | undefined> {
  try {
    return await client.get(PODS, { namespace: job.namespace, name: podName(job.sandboxName) }, { signal });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** False = this very sandbox is gone. */
async function writeRestores(
  client: KubeClient,
  { namespace, sandboxName, sandboxUid }: RestoreJob,
  rootfsRestores: readonly SandboxRootfsRestore[],
  signal: AbortSignal,
): Promise<boolean> {
  const metadata = { namespace, name: sandboxName, uid: sandboxUid };
  const object: KubeObject & { readonly status: object } = { metadata, status: { rootfsRestores } };
  const options = { fieldManager: FIELD_MANAGER, subresource: "status" };
  const { object: _type, ...resource } = SANDBOXES;
  try {
    await client.apply<KubeObject>(resource satisfies Resource<KubeObject>, object, { signal }, options);
    return true;
  } catch (error) {
    if (isNotFound(error) || isConflict(error)) return false;
    throw error;
  }
}
