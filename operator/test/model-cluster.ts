import type { KubeClient, ObjectRef, Removal, RemoveOptions, Resource, WatchEvent } from "#core/kubernetes/client.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import { objectKey } from "#core/kubernetes/object-key.ts";
import type { KubeObject, ObjectMeta } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { NETWORK_POLICIES, NODES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { createFieldManagers } from "./model-fields.ts";

/** What becomes of a write: done, done though nobody hears of it, or never arrived. */
export type Fate = "done" | "lost" | "unsent";

type Stored = KubeObject & { status?: unknown };
type Of<T extends KubeObject> = Pick<Resource<T>, "object" | "plural">;

/** What an operator keeps copies of. */
export const KINDS = [SANDBOXES.plural, PODS.plural, NETWORK_POLICIES.plural, ROOTFS_SNAPSHOTS.plural] as const;
export type Kind = (typeof KINDS)[number];
const OWNED = [PODS.plural, NETWORK_POLICIES.plural, ROOTFS_SNAPSHOTS.plural];

/** The API server as far as the operator's rules lean on it: versions, preconditions, finalizers, graceful removal. */
export class ModelCluster {
  nowMs = Date.parse("2026-01-01T00:00:00Z");
  /** Fates of the next writes; beyond them all are done. */
  fates: Fate[] = [];
  writes = 0;
  /** Why objects of a kind are not created, and how the API server says it. */
  readonly refusals = new Map<string, KubeError>();
  readonly history: Record<string, WatchEvent<Stored>[]> = {};
  readonly #objects: Record<string, Map<string, Stored>> = {};
  readonly #managers = createFieldManagers();
  #version = 1;
  #uids = 0;
  /** Called after each change. */
  onEvent: (kind: string, event: WatchEvent<Stored>) => void = () => {};

  constructor() {
    for (const kind of [...KINDS, NODES.plural]) {
      this.history[kind] = [];
      this.#objects[kind] = new Map();
    }
  }

  all<T extends KubeObject>({ plural }: Of<T>): readonly T[] {
    return [...(this.#objects[plural]?.values() ?? [])] as unknown as T[];
  }

  get version(): string {
    return String(this.#version);
  }

  find<T extends KubeObject>({ plural }: Of<T>, ref: ObjectRef): T | undefined {
    return this.#objects[plural]?.get(objectKey(ref)) as T | undefined;
  }

  insert(kind: string, object: Stored): Stored {
    const key = objectKey(object.metadata);
    if (this.find({ plural: kind }, object.metadata) !== undefined) {
      throw new KubeError(409, `${kind} "${key}" already exists`, { reason: "AlreadyExists" });
    }
    const uid = `00000000-0000-4000-8000-${String((this.#uids += 1)).padStart(12, "0")}`;
    return this.#put(kind, "added", {
      ...object,
      metadata: { ...object.metadata, uid, creationTimestamp: this.time() },
    });
  }

  /** Somebody's change of an object that is there. */
  change(kind: string, ref: ObjectRef, change: (object: Stored) => Stored): void {
    const found = this.find<Stored>({ plural: kind }, ref);
    if (found !== undefined) this.#settle(kind, change(found));
  }

  /** As the API server removes: what has finalizers or runs stays for a while. */
  remove(kind: string, ref: ObjectRef, options: RemoveOptions & { force?: boolean } = {}): Removal<Stored> {
    const found = this.find<Stored>({ plural: kind }, ref);
    if (found === undefined) return { kind: "absent" };
    const isHeld = (found.metadata.finalizers ?? []).length > 0;
    const isRunning = kind === PODS.plural && options.force !== true;
    if (!isHeld && !isRunning) {
      this.#drop(kind, found);
      return { kind: "removed", uid: found.metadata.uid ?? "" };
    }
    const before = found.metadata.deletionGracePeriodSeconds ?? (isRunning ? Infinity : 0);
    const { deletionTimestamp } = found.metadata;
    const seconds = isRunning ? (options.gracePeriodSeconds ?? graceOf(found)) : 0;
    // Of a removal that goes on only its time can be shortened.
    if (deletionTimestamp !== undefined && seconds >= before) return { kind: "going", object: found };
    const grace = isRunning ? { deletionGracePeriodSeconds: seconds } : {};
    const metadata = { ...found.metadata, ...grace, deletionTimestamp: this.time(seconds * 1000) };
    return { kind: "going", object: this.#put(kind, "modified", { ...found, metadata }) };
  }

  /** Kubelet has ended the processes of a pod that is being removed. */
  finishRemoval(ref: ObjectRef): void {
    const pod = this.find(PODS, ref);
    if (pod?.metadata.deletionTimestamp !== undefined) this.#drop(PODS.plural, pod);
  }

  /** What belongs to an object that is gone goes too. */
  collectGarbage(): void {
    const alive = new Set(this.all(SANDBOXES).map(({ metadata }) => metadata.uid));
    for (const kind of OWNED) {
      for (const object of this.all<Stored>({ plural: kind })) {
        const owners = object.metadata.ownerReferences ?? [];
        if (owners.length > 0 && owners.every(({ uid }) => !alive.has(uid))) this.remove(kind, object.metadata);
      }
    }
  }

  /** The operator's way to it. */
  client(): KubeClient {
    const write = <T>(work: () => T): T => {
      const fate = this.fates.shift() ?? "done";
      if (fate === "unsent") throw new KubeError(0, "no answer", { reason: "NoAnswer" });
      this.writes += 1;
      const result = work();
      if (fate === "lost") throw new KubeError(0, "no answer", { reason: "NoAnswer" });
      return result;
    };
    const found = <T extends KubeObject>(resource: Resource<T>, ref: ObjectRef): T => {
      const object = this.find(resource, ref);
      if (object === undefined) throw new KubeError(404, `${objectKey(ref)} not found`, { reason: "NotFound" });
      return object;
    };
    const unsupported = (): never => {
      throw new TypeError("The model has no such call");
    };
    return {
      get: async (resource, ref) => found(resource, ref),
      list: async (resource) => ({ items: this.all(resource), resourceVersion: this.version }),
      create: async (resource, object) =>
        write(() => {
          const refusal = this.refusals.get(resource.plural);
          if (refusal !== undefined) throw refusal;
          return this.insert(resource.plural, object) as typeof object;
        }),
      replace: unsupported,
      apply: async (resource, object, _call, { subresource, fieldManager }) =>
        write(() => {
          const present = this.find(resource, object.metadata);
          if (present === undefined && subresource === undefined) {
            return this.insert(resource.plural, object) as typeof object;
          }
          const before = found(resource, object.metadata);
          check(before.metadata, object.metadata);
          const { metadata: _, ...members } = object as unknown as Stored;
          if (subresource === "status") members.status = this.#managers.merge(fieldManager, before, members.status);
          return this.#settle(resource.plural, { ...before, ...members }) as typeof object;
        }),
      patch: async (resource, ref, patch) =>
        write(() => {
          const before = found(resource, ref);
          const { metadata } = patch as { metadata: ObjectMeta };
          check(before.metadata, metadata);
          const { finalizers, ownerReferences } = metadata;
          const kept = {
            ...before.metadata,
            ...(finalizers === undefined ? {} : { finalizers }),
            ...(ownerReferences === undefined ? {} : { ownerReferences }),
          };
          return this.#settle(resource.plural, { ...before, metadata: kept }) as typeof before;
        }),
      remove: async <T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, _call: unknown, options = {}) =>
        write(() => {
          const present = this.find(resource, ref);
          if (present === undefined) return { kind: "absent" };
          check(present.metadata, options);
          return this.remove(resource.plural, ref, options) as unknown as Removal<T>;
        }),
      watch: unsupported,
      text: unsupported,
    };
  }

  /** Keeps an object, unless the last that held it is gone. */
  #settle(kind: string, object: Stored): Stored {
    const { deletionTimestamp, finalizers = [] } = object.metadata;
    const isOver = deletionTimestamp !== undefined && finalizers.length === 0 && kind !== PODS.plural;
    if (!isOver) return this.#put(kind, "modified", object);
    this.#drop(kind, object);
    return object;
  }

  #put(kind: string, change: "added" | "modified", object: Stored): Stored {
    const metadata = { ...object.metadata, resourceVersion: String((this.#version += 1)) };
    const stored = { ...object, metadata };
    this.#objects[kind]?.set(objectKey(metadata), stored);
    this.#tell(kind, { kind: change, object: stored });
    return stored;
  }

  #drop(kind: string, object: Stored): void {
    this.#objects[kind]?.delete(objectKey(object.metadata));
    const metadata = { ...object.metadata, resourceVersion: String((this.#version += 1)) };
    this.#tell(kind, { kind: "deleted", object: { ...object, metadata } });
  }

  #tell(kind: string, event: WatchEvent<Stored>): void {
    this.history[kind]?.push(event);
    this.onEvent(kind, event);
  }

  time(afterMs = 0): string {
    return new Date(this.nowMs + afterMs).toISOString().replace(/\.\d+Z$/, "Z");
  }
}

function graceOf(pod: Stored): number {
  return (pod as Partial<Pod>).spec?.terminationGracePeriodSeconds ?? 1;
}

function check(present: ObjectMeta, wanted: { readonly uid?: string; readonly resourceVersion?: string }): void {
  const isOther = wanted.uid !== undefined && wanted.uid !== present.uid;
  const isOlder = wanted.resourceVersion !== undefined && wanted.resourceVersion !== present.resourceVersion;
  if (isOther || isOlder) throw new KubeError(409, "the object has been modified", { reason: "Conflict" });
}
