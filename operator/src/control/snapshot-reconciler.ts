import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import type { RuntimeClass } from "#core/kubernetes/cluster-objects.ts";
import type { Reconcile, ReconcileResult } from "#core/kubernetes/control/reconcile.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import { isConflict, isNotFound, KubeError } from "#core/kubernetes/kube-error.ts";
import { podName } from "#core/kubernetes/names.ts";
import { objectKey, refOfKey } from "#core/kubernetes/object-key.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { NODES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import type { Log } from "#core/log.ts";
import { isFinished } from "#core/snapshot/snapshot.ts";
import type { Action, Plan } from "../domain/action.ts";
import { isOwnedBy } from "../domain/sandbox/observed.ts";
import { snapshotEndEvent } from "../domain/snapshot/events.ts";
import type { ObservedSnapshot } from "../domain/snapshot/observed.ts";
import { planSnapshot } from "../domain/snapshot/plan.ts";
import { recordBefore, snapshotNameOf } from "../domain/snapshot/turn.ts";
import { findObject } from "./find-object.ts";
import { referenceTo } from "./object-reference.ts";
import type { EventRecorder, SnapshotObserver } from "./ports.ts";
import { SNAPSHOT_INDEX, type NamespaceStores, type SandboxStores } from "./sandbox-stores.ts";

export interface SnapshotReconcilerOptions {
  readonly client: KubeClient;
  readonly stores: Pick<SandboxStores, "of">;
  readonly runtimeClasses: Pick<Informer<RuntimeClass>, "get">;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
  readonly events: EventRecorder;
  readonly observer?: SnapshotObserver;
}

type Stores = NamespaceStores & { readonly snapshots: Informer<RootfsSnapshotResource> };

interface Scope {
  readonly stores: Stores;
  readonly takesNone: boolean;
  readonly record: RootfsSnapshotResource;
  readonly call: KubeCall;
}

/** Name under which the operator's fields of a record are kept by server-side apply. */
const FIELD_MANAGER = "atoll-operator";
/** After a conflict the newer version is on its way; this is for the case that it got lost. */
const CONFLICT_MS = 2000;

/** Brings records of snapshots on their way and to their end: reads the caches, plans, acts. */
export function createSnapshotReconciler(options: SnapshotReconcilerOptions): Reconcile {
  /** Records that this process has seen open, by key: their ends are told once. */
  const open = new Map<string, string | undefined>();
  return async (key, signal) => {
    const stores = options.stores.of(refOfKey(key).namespace ?? "");
    const snapshots = stores?.snapshots ?? stores?.refusedSnapshots;
    const record = snapshots?.get(key);
    if (stores === undefined || snapshots === undefined || record === undefined) {
      open.delete(key);
      return {};
    }
    tellEnd(open, key, record, options);
    try {
      const takesNone = stores.snapshots === undefined;
      return await look(options, { stores: { ...stores, snapshots }, takesNone, record, call: { signal } });
    } catch (error) {
      // Somebody was faster, or the record is gone: the caches are about to say so.
      if (isConflict(error) || isNotFound(error)) return { requeueAtMs: options.clock.now() + CONFLICT_MS };
      throw error;
    }
  };
}

function tellEnd(
  open: Map<string, string | undefined>,
  key: string,
  record: RootfsSnapshotResource,
  { events, observer }: SnapshotReconcilerOptions,
): void {
  const state = snapshotState(record);
  if (!isFinished(state.phase)) return void open.set(key, record.metadata.uid);
  const wasOpen = open.has(key) && open.get(key) === record.metadata.uid;
  open.delete(key);
  if (!wasOpen) return;
  events.record(referenceTo(ROOTFS_SNAPSHOTS, record), snapshotEndEvent(state));
  observer?.completed(state.phase === "Succeeded" ? "succeeded" : "failed");
}

async function look(options: SnapshotReconcilerOptions, scope: Scope): Promise<ReconcileResult> {
  const planned = await plan(options, scope);
  for (const action of planned.actions) await perform(action, options, scope);
  return planned.nextDeadlineMs === undefined ? {} : { requeueAtMs: planned.nextDeadlineMs };
}

async function plan(options: SnapshotReconcilerOptions, scope: Scope): Promise<Plan> {
  const { record, stores, takesNone } = scope;
  const { namespace = "" } = record.metadata;
  const of = { namespace, name: record.spec.sandboxName };
  const pod = { namespace, name: podName(of.name) };
  const behind = recordBefore(record, stores.snapshots.byIndex(SNAPSHOT_INDEX.name, snapshotNameOf(record)));
  const lost = await lostFacts(options, scope);
  const planOn = (sandbox: SandboxResource | undefined, found: Pod | undefined, isFresh: boolean): Plan => {
    const facts = { record, takesNone, ...lost, ...seen(options, sandbox, found), isFresh };
    return planSnapshot(behind === undefined ? facts : { ...facts, behind }, options.clock.now());
  };
  const first = planOn(stores.sandboxes.get(objectKey(of)), stores.pods.get(objectKey(pod)), false);
  if (first.confirm !== true) return first;
  const [sandbox, found] = await Promise.all([
    findObject(options.client, SANDBOXES, of, scope.call),
    findObject(options.client, PODS, pod, scope.call),
  ]);
  return planOn(sandbox, found, true);
}

function seen(
  { runtimeClasses }: SnapshotReconcilerOptions,
  sandbox: SandboxResource | undefined,
  found: Pod | undefined,
): Pick<ObservedSnapshot, "sandbox" | "pod" | "handler"> {
  if (sandbox === undefined) return {};
  if (found === undefined || !isOwnedBy(found, sandbox)) return { sandbox };
  const handler = runtimeClasses.get(found.spec.runtimeClassName ?? "")?.handler;
  return { sandbox, pod: found, ...(handler === undefined ? {} : { handler }) };
}

/** Of a record that a node has and that nobody may have published: whether the pod is gone, and the node with it. */
async function lostFacts(
  { client, log }: SnapshotReconcilerOptions,
  { record, stores, call }: Scope,
): Promise<Pick<ObservedSnapshot, "podIsGone" | "nodeIsGone">> {
  const { namespace = "" } = record.metadata;
  const { nodeName, podUid, publishBy } = record.status ?? {};
  if (nodeName === undefined || publishBy !== undefined || isFinished(snapshotState(record).phase)) return {};
  const ref = { namespace, name: podName(record.spec.sandboxName) };
  if (stores.pods.get(objectKey(ref))?.metadata.uid === podUid) return {};
  if ((await findObject(client, PODS, ref, call))?.metadata.uid === podUid) return {};
  const nodeIsGone = await findObject(client, NODES, { name: nodeName }, call).then(
    (node) => node === undefined,
    (error: unknown) => {
      if (!(error instanceof KubeError) || error.status !== 403) throw error;
      // The deadline ends the record as well.
      log.warn("Cannot see whether a node is gone", { node: nodeName, error });
      return false;
    },
  );
  return { podIsGone: true, nodeIsGone };
}

async function perform(action: Action, options: SnapshotReconcilerOptions, scope: Scope): Promise<void> {
  const { client, observer } = options;
  const { stores, record, call } = scope;
  if (action.kind === "patchStatus") {
    const wanted = action.object as RootfsSnapshotResource;
    const write = { fieldManager: FIELD_MANAGER, subresource: "status" };
    const written = await client.apply(ROOTFS_SNAPSHOTS, wanted, call, write);
    if (isBegun(written) && !isBegun(record)) observer?.created();
    stores.snapshots.upsert(written);
  } else if (action.kind === "remove") {
    const { ref, uid, resourceVersion } = action;
    const only = { uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
    const removal = await client.remove(ROOTFS_SNAPSHOTS, ref, call, only);
    if (removal.kind === "going") stores.snapshots.upsert(removal.object);
    else stores.snapshots.drop(objectKey(ref), uid);
  }
}

/** A node has it, or it has failed before. */
function isBegun(record: RootfsSnapshotResource): boolean {
  return snapshotState(record).phase !== "Pending";
}
