import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import { isAlreadyExists, isNotFound } from "#core/kubernetes/kube-error.ts";
import type { ObjectReference } from "#core/kubernetes/event.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import { keyOf, objectKey } from "#core/kubernetes/object-key.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { apiVersionOf, NETWORK_POLICIES, PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { conditionOf } from "#core/kubernetes/sandbox-state.ts";
import type { Action, RemoveAction } from "../domain/action.ts";
import { isOwnedBy } from "../domain/sandbox/observed.ts";
import type { EventRecorder, SandboxObserver } from "./ports.ts";
import { noteForeignPod, noteRefusal, type SandboxNotes } from "./sandbox-memory.ts";
import type { NamespaceStores } from "./sandbox-stores.ts";

export interface SandboxWrites {
  readonly client: KubeClient;
  readonly stores: NamespaceStores;
  readonly clock: Pick<Clock, "now">;
  readonly random: () => number;
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

/** Does one step, and tells the caches. False: the step was not done and the rest of the plan is void. */
export async function performSandboxAction(action: Action, scope: ActionScope): Promise<boolean> {
  const { client, stores, call, sandbox } = scope;
  switch (action.kind) {
    case "create":
      return createPod(action.object as Pod, scope);
    case "apply": {
      const applied = await client.apply(NETWORK_POLICIES, action.object as NetworkPolicy, call, {
        fieldManager: FIELD_MANAGER,
      });
      stores.policies.upsert(applied);
      return true;
    }
    case "remove":
      await remove(action, scope);
      return true;
    case "patchStatus":
      await writeStatus(action.object as SandboxResource, scope);
      return true;
    case "setFinalizers":
      await setFinalizers(action.finalizers, scope);
      return true;
    case "event":
      scope.events.record(referenceTo(sandbox), action.event);
      return true;
  }
}

/** One that is there already is as good when it is this sandbox's. */
async function createPod(pod: Pod, scope: ActionScope): Promise<boolean> {
  const { client, stores, notes, call, clock, random, observer } = scope;
  try {
    stores.pods.upsert(await client.create(PODS, pod, call, { fieldManager: FIELD_MANAGER }));
  } catch (error) {
    if (isAlreadyExists(error)) return takeOver(pod, scope);
    if (noteRefusal(notes, error, { nowMs: clock.now(), random })) return false;
    notes.mayHaveHadPod = true;
    throw error;
  }
  notes.podSeen = true;
  notes.creationFault = undefined;
  observer?.created();
  return true;
}

async function takeOver(wanted: Pod, scope: ActionScope): Promise<boolean> {
  const { client, stores, sandbox, notes, call, clock, random } = scope;
  const found = await client.get(PODS, wanted.metadata, call).catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  if (found === undefined) return false;
  if (isOwnedBy(found, sandbox)) {
    notes.podSeen = true;
    notes.creationFault = undefined;
    stores.pods.upsert(found);
  } else {
    noteForeignPod(notes, found, { nowMs: clock.now(), random });
  }
  return false;
}

async function remove(action: RemoveAction, { client, stores, call }: ActionScope): Promise<void> {
  const { uid, resourceVersion } = action;
  const options = { uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
  const removal = await client.remove(action.resource, action.ref, call, options);
  const store = action.resource.plural === PODS.plural ? stores.pods : stores.sandboxes;
  if (removal.kind === "going") store.upsert(removal.object as Pod & SandboxResource);
  else store.drop(objectKey(action.ref), uid);
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

function referenceTo({ metadata }: SandboxResource): ObjectReference {
  const { name, namespace, uid, resourceVersion } = metadata;
  return {
    apiVersion: apiVersionOf(SANDBOXES),
    kind: SANDBOXES.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}
