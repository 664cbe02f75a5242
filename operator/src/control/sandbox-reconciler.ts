import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { KubeCall } from "#core/kubernetes/client.ts";
import { isConflict, isNotFound } from "#core/kubernetes/kube-error.ts";
import { customPolicyName, podName } from "#core/kubernetes/names.ts";
import { objectKey, refOfKey } from "#core/kubernetes/object-key.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import type { Action, Plan } from "../domain/action.ts";
import { wantsLastSnapshot } from "../domain/sandbox/last-snapshot.ts";
import { isOwnedBy, ownPod, type ObservedSandbox } from "../domain/sandbox/observed.ts";
import { plan } from "../domain/sandbox/plan.ts";
import { terminationRecordName } from "../domain/termination-record.ts";
import type { SandboxSettings } from "../domain/sandbox/settings.ts";
import { findObject } from "./find-object.ts";
import { performSandboxAction, type SandboxWrites } from "./sandbox-actions.ts";
import type { Reconcile, ReconcileResult } from "#core/kubernetes/control/reconcile.ts";
import { createSandboxMemory, type SandboxNotes } from "./sandbox-memory.ts";
import type { NamespaceStores, SandboxStores } from "./sandbox-stores.ts";

export interface SandboxReconcilerOptions extends Omit<SandboxWrites, "stores"> {
  readonly stores: Pick<SandboxStores, "of">;
  readonly settings: SandboxSettings;
  /** The key of one sandbox's agent, by the sandbox's uid. */
  readonly agentKey: (uid: string) => Promise<string>;
  /** Why no pod may be created in this namespace at present; undefined = they may. */
  readonly hold: (namespace: string) => string | undefined;
  /** Handler of a runtime class; undefined = not known. */
  readonly handler: (runtimeClass: string) => string | undefined;
}

/** After a conflict the newer version is on its way; this is for the case that it got lost. */
const CONFLICT_MS = 2000;

const LATER_MS = 2000;

/** Brings sandboxes to what they ask for: reads the caches, plans, acts. */
export function createSandboxReconciler(options: SandboxReconcilerOptions): Reconcile {
  const memory = createSandboxMemory(options.clock.now());
  return async (key, signal) => {
    const stores = options.stores.of(refOfKey(key).namespace ?? "");
    const sandbox = stores?.sandboxes.get(key);
    if (stores === undefined || sandbox === undefined) {
      memory.forget(key);
      return {};
    }
    const pass = new SandboxPass(options, { stores, sandbox, notes: memory.of(key, sandbox), call: { signal } });
    try {
      return await pass.run();
    } catch (error) {
      // Somebody was faster, or the sandbox is gone: the caches are about to say so.
      if (isConflict(error) || isNotFound(error)) return { requeueAtMs: options.clock.now() + CONFLICT_MS };
      throw error;
    }
  };
}

interface Seen {
  readonly pod: Pod | undefined;
  readonly lastRecord: RootfsSnapshotResource | undefined;
  readonly isFresh: boolean;
}

interface PassScope {
  readonly stores: NamespaceStores;
  readonly sandbox: SandboxResource;
  readonly notes: SandboxNotes;
  readonly call: KubeCall;
}

/** One look at one sandbox. */
class SandboxPass {
  readonly #options: SandboxReconcilerOptions;
  readonly #scope: PassScope;

  constructor(options: SandboxReconcilerOptions, scope: PassScope) {
    this.#options = options;
    this.#scope = scope;
  }

  async run(): Promise<ReconcileResult> {
    const planned = await this.#plan();
    if (planned.actions.some(createsPod) && !(await this.#isUpToDate())) {
      return { requeueAtMs: this.#options.clock.now() };
    }
    for (const action of planned.actions) {
      const result = await performSandboxAction(action, { ...this.#options, ...this.#scope });
      const nowMs = this.#options.clock.now();
      // It was refused, or was there already: what follows depends on which.
      if (result === "void") return { requeueAtMs: nowMs };
      if (result === "later") return { requeueAtMs: Math.min(planned.nextDeadlineMs ?? Infinity, nowMs + LATER_MS) };
    }
    return planned.nextDeadlineMs === undefined ? {} : { requeueAtMs: planned.nextDeadlineMs };
  }

  async #plan(): Promise<Plan> {
    const { settings, clock } = this.#options;
    const first = plan(await this.#observe(this.#cached()), settings, clock.now());
    if (first.confirm !== true) return first;
    return plan(await this.#observe(await this.#read()), settings, clock.now());
  }

  /**
   * Whether a pod may be made of what the cache says of the sandbox. Another process may have made
   * one that is gone again, and a cache that is behind would not say that it was used.
   */
  async #isUpToDate(): Promise<boolean> {
    const { stores, sandbox, notes, call } = this.#scope;
    if (!notes.mayHaveHadPod) return true;
    const { namespace = "", name, resourceVersion } = sandbox.metadata;
    const fresh = await this.#options.client.get(SANDBOXES, { namespace, name }, call);
    if (fresh.metadata.resourceVersion === resourceVersion) {
      notes.mayHaveHadPod = false;
      return true;
    }
    stores.sandboxes.upsert(fresh);
    return false;
  }

  #cached(): Seen {
    const { stores, sandbox } = this.#scope;
    const { namespace = "", name } = sandbox.metadata;
    return {
      pod: stores.pods.get(objectKey({ namespace, name: podName(name) })),
      lastRecord: stores.snapshots?.get(objectKey({ namespace, name: terminationRecordName(name) })),
      isFresh: false,
    };
  }

  async #observe({ pod, lastRecord, isFresh }: Seen): Promise<ObservedSandbox> {
    const { stores, sandbox, notes } = this.#scope;
    const { namespace = "", name, uid = "" } = sandbox.metadata;
    const policy = stores.policies.get(objectKey({ namespace, name: customPolicyName(name) }));
    const hold = this.#options.hold(namespace);
    const handler = this.#options.handler(pod?.spec.runtimeClassName ?? this.#options.settings.runtimeClass);
    const mayNeedPod = pod === undefined && sandbox.metadata.deletionTimestamp === undefined;
    if (ownPod({ sandbox, ...(pod === undefined ? {} : { pod }) }) !== undefined) notes.podSeen = true;
    return {
      sandbox,
      ...(pod === undefined ? {} : { pod }),
      ...(policy === undefined ? {} : { policy }),
      agentKey: mayNeedPod ? await this.#options.agentKey(uid) : "",
      isFresh,
      podSeen: notes.podSeen,
      ...(notes.creationFault === undefined ? {} : { creationFault: notes.creationFault }),
      ...(hold === undefined ? {} : { hold }),
      ...(handler === undefined ? {} : { handler }),
      ...(lastRecord === undefined ? {} : { lastRecord }),
      ...(notes.recordFault === undefined ? {} : { recordFault: notes.recordFault }),
    };
  }

  async #read(): Promise<Seen> {
    const [pod, lastRecord] = await Promise.all([this.#readPod(), this.#readRecord()]);
    return { pod, lastRecord, isFresh: true };
  }

  /** Only of a sandbox that may have one. */
  async #readRecord(): Promise<RootfsSnapshotResource | undefined> {
    const { stores, sandbox, call } = this.#scope;
    if (stores.snapshots === undefined || !wantsLastSnapshot({ sandbox })) return undefined;
    const { namespace = "", name } = sandbox.metadata;
    const ref = { namespace, name: terminationRecordName(name) };
    const record = await findObject(this.#options.client, ROOTFS_SNAPSHOTS, ref, call);
    if (record !== undefined) stores.snapshots.upsert(record);
    return record;
  }

  async #readPod(): Promise<Pod | undefined> {
    const { stores, sandbox, call } = this.#scope;
    const { namespace = "", name } = sandbox.metadata;
    const pod = await findObject(this.#options.client, PODS, { namespace, name: podName(name) }, call);
    if (pod !== undefined && isOwnedBy(pod, sandbox)) stores.pods.upsert(pod);
    return pod;
  }
}

function createsPod(action: Action): boolean {
  return action.kind === "create" && action.resource.plural === PODS.plural;
}
