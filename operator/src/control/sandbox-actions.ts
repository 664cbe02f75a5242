import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import { isAlreadyExists, isNotFound } from "#core/kubernetes/kube-error.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import { keyOf, objectKey } from "#core/kubernetes/object-key.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { NETWORK_POLICIES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";
import type { Log } from "#core/log.ts";
import type { Action, RemoveAction } from "../domain/action.ts";
import { isOwnedBy } from "../domain/sandbox/observed.ts";
import { findObject } from "./find-object.ts";
import { referenceTo } from "./object-reference.ts";
import type { EventRecorder, SandboxObserver } from "./ports.ts";
import { noteForeignPod, noteRecordRefusal, noteRefusal, type SandboxNotes } from "./sandbox-memory.ts";
import type { NamespaceStores } from "./sandbox-stores.ts";

export interface SandboxWrites {
  readonly client: KubeClient;
  readonly stores: NamespaceStores;
  readonly clock: Pick<Clock, "now">;
  readonly random: () => number;
  readonly log: Log;
  readonly events: EventRecorder;
  readonly observer?: SandboxObserver;
}

export interface ActionScope extends SandboxWrites {
  readonly sandbox: SandboxResource;
  readonly notes: SandboxNotes;
  readonly call: KubeCall;
}

/** Name under which the operator's fields are kept by server-side apply. */
export const FIELD_MANAGER = "isola-operator";

/** What became of a step: `void` = it was not done, and neither is the rest; `later` = nor may it be at present. */
export type StepResult = "done" | "void" | "later";

/** Does one step, and tells the caches. */
export async function performSandboxAction(action: Action, scope: ActionScope): Promise<StepResult> {
  const { client, stores, call, sandbox } = scope;
  switch (action.kind) {
    case "create":
      return action.resource.plural === PODS.plural
        ? createPod(action.object as Pod, scope)
        : createRecord(action.object as RootfsSnapshotResource, scope);
    case "apply": {
      const applied = await client.apply(NETWORK_POLICIES, action.object as NetworkPolicy, call, {
        fieldManager: FIELD_MANAGER,
      });
      stores.policies.upsert(applied);
      return "done";
    }
    case "remove":
      await remove(action, scope);
      return "done";
    case "patchStatus":
      await writeStatus(action.object as SandboxResource, scope);
      return "done";
    case "setFinalizers":
      await setFinalizers(action.finalizers, scope);
      return "done";
    case "release":
      await release(action.object as RootfsSnapshotResource, scope);
      return "done";
    case "event":
      scope.events.record(referenceTo(SANDBOXES, sandbox), action.event);
      return "done";
  }
}

/** One that is there already is as good when it is this sandbox's. */
async function createPod(pod: Pod, scope: ActionScope): Promise<StepResult> {
  const { client, stores, notes, call, clock, random, observer } = scope;
  try {
    stores.pods.upsert(await client.create(PODS, pod, call, { fieldManager: FIELD_MANAGER }));
  } catch (error) {
    if (isAlreadyExists(error)) return takeOver(pod, scope);
    if (noteRefusal(notes, error, { nowMs: clock.now(), random })) return "void";
    notes.mayHaveHadPod = true;
    throw error;
  }
  notes.podSeen = true;
  notes.creationFault = undefined;
  observer?.created();
  return "done";
}

async function takeOver(wanted: Pod, scope: ActionScope): Promise<StepResult> {
  const { client, stores, sandbox, notes, call, clock, random } = scope;
  const found = await findObject(client, PODS, wanted.metadata, call);
  if (found === undefined) return "void";
  if (isOwnedBy(found, sandbox)) {
    notes.podSeen = true;
    notes.creationFault = undefined;
    stores.pods.upsert(found);
  } else {
    noteForeignPod(notes, found, { nowMs: clock.now(), random });
  }
  return "void";
}

/** Of the snapshot at the end: no failure keeps the sandbox beyond its deadline, and a refusal not even until then. */
async function createRecord(record: RootfsSnapshotResource, scope: ActionScope): Promise<StepResult> {
  const { client, stores, notes, log, call } = scope;
  try {
    stores.snapshots?.upsert(await client.create(ROOTFS_SNAPSHOTS, record, call, { fieldManager: FIELD_MANAGER }));
    return "done";
  } catch (error) {
    if (call.signal.aborted) throw error;
    if (isAlreadyExists(error)) {
      const found = await findObject(client, ROOTFS_SNAPSHOTS, record.metadata, call);
      if (found !== undefined) stores.snapshots?.upsert(found);
      return "void";
    }
    if (noteRecordRefusal(notes, error)) return "void";
    log.warn("Will try again to create the record of a last snapshot", { name: record.metadata.name, error });
    return "later";
  }
}

/** One that is gone meanwhile is nobody's, too. */
async function release(
  { metadata }: RootfsSnapshotResource,
  { client, stores, sandbox, call }: ActionScope,
): Promise<void> {
  const { uid, name, namespace = "" } = metadata;
  const ownerReferences = (metadata.ownerReferences ?? []).filter((owner) => owner.uid !== sandbox.metadata.uid);
  try {
    const change = { metadata: { uid, ownerReferences } };
    const options = { fieldManager: FIELD_MANAGER };
    stores.snapshots?.upsert(await client.patch(ROOTFS_SNAPSHOTS, { name, namespace }, change, call, options));
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function remove(action: RemoveAction, { client, stores, call }: ActionScope): Promise<void> {
  const { uid, resourceVersion, gracePeriodSeconds } = action;
  const options = {
    uid,
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
  };
  const removal = await client.remove(action.resource, action.ref, call, options);
  const store = storeOf(action.resource.plural, stores);
  if (removal.kind === "going") store?.upsert(removal.object);
  else store?.drop(objectKey(action.ref), uid);
}

function storeOf(plural: string, stores: NamespaceStores): Pick<Informer<KubeObject>, "drop" | "upsert"> | undefined {
  const all: readonly [string, unknown][] = [
    [PODS.plural, stores.pods],
    [SANDBOXES.plural, stores.sandboxes],
    [ROOTFS_SNAPSHOTS.plural, stores.snapshots],
  ];
  return new Map(all).get(plural) as Pick<Informer<KubeObject>, "drop" | "upsert"> | undefined;
}

async function writeStatus(wanted: SandboxResource, scope: ActionScope): Promise<void> {
  const { client, stores, sandbox, call, clock, observer } = scope;
  const written = await client.apply(SANDBOXES, wanted, call, { fieldManager: FIELD_MANAGER, subresource: "status" });
  stores.sandboxes.upsert(written);
  const isReady = conditionOf(written.status, "Ready")?.status === "True";
  if (isReady && conditionOf(sandbox.status, "Ready")?.status !== "True") {
    observer?.ready(clock.now() - Date.parse(sandbox.metadata.creationTimestamp ?? ""));
  }
  if (conditionOf(written.status, "Succeeded")?.reason === "Timeout") observer?.timedOut();
}

/** Without its last finalizer an object that is being deleted is gone with this very write. */
async function setFinalizers(
  finalizers: readonly string[],
  { client, stores, sandbox, call }: ActionScope,
): Promise<void> {
  const { uid, resourceVersion, deletionTimestamp, ...ref } = sandbox.metadata;
  const written = await client.patch(SANDBOXES, ref, { metadata: { uid, resourceVersion, finalizers } }, call, {
    fieldManager: FIELD_MANAGER,
  });
  if (deletionTimestamp !== undefined && finalizers.length === 0) stores.sandboxes.drop(keyOf(sandbox), uid ?? "");
  else stores.sandboxes.upsert(written);
}
