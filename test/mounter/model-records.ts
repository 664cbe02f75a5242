import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { KubeClient, ObjectRef, Resource } from "#core/kubernetes/client.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import { objectKey } from "#core/kubernetes/object-key.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { ROOTFS_SNAPSHOTS } from "#core/kubernetes/resources.ts";
import type { Step } from "./model-store.ts";

/** Records as an API server keeps them: versions, preconditions, merge patches, finalizers. */
export interface ModelRecords {
  readonly records: Map<string, RootfsSnapshotResource>;
  insert(record: RootfsSnapshotResource): RootfsSnapshotResource;
  /** Somebody's change, over whatever version is there. */
  change(key: string, patch: object): void;
  remove(key: string): void;
}

export function createModelRecords(now: () => number): ModelRecords {
  const records = new Map<string, RootfsSnapshotResource>();
  let version = 0;
  const put = (record: RootfsSnapshotResource): RootfsSnapshotResource => {
    const { deletionTimestamp, finalizers = [] } = record.metadata;
    const key = objectKey(record.metadata);
    const stored = { ...record, metadata: { ...record.metadata, resourceVersion: String((version += 1)) } };
    if (deletionTimestamp !== undefined && finalizers.length === 0) records.delete(key);
    else records.set(key, stored);
    return stored;
  };
  return {
    records,
    insert: put,
    change(key, patch) {
      const record = records.get(key);
      if (record !== undefined) put(merge(record, patch) as RootfsSnapshotResource);
    },
    remove(key) {
      const record = records.get(key);
      const deletionTimestamp = new Date(now()).toISOString();
      if (record !== undefined) put({ ...record, metadata: { ...record.metadata, deletionTimestamp } });
    },
  };
}

/** A client of the model. `fault` says of each call whether it is lost before or after it was done. */
export function createModelRecordsClient(
  model: ModelRecords,
  step: Step,
  fault: () => "before" | "after" | undefined = () => undefined,
): Pick<KubeClient, "get" | "patch"> {
  const doing = async <T>(what: string, effect: () => T): Promise<T> => {
    const lost = fault();
    await step("before", what);
    if (lost === "before") throw noAnswer();
    const done = effect();
    await step("after", what);
    if (lost === "after") throw noAnswer();
    return done;
  };
  const find = (resource: Resource<KubeObject>, ref: ObjectRef): RootfsSnapshotResource => {
    const found = resource.plural === ROOTFS_SNAPSHOTS.plural ? model.records.get(objectKey(ref)) : undefined;
    if (found === undefined) throw new KubeError(404, `${objectKey(ref)} not found`, { reason: "NotFound" });
    return found;
  };
  return {
    get: <T extends KubeObject>(resource: Resource<T>, ref: ObjectRef) =>
      doing(`get ${objectKey(ref)}`, () => find(resource, ref) as unknown as T),
    patch: <T extends KubeObject>(resource: Resource<T>, ref: ObjectRef, patch: object) =>
      doing(`patch ${objectKey(ref)}`, () => {
        const { metadata } = find(resource, ref);
        const wanted = (patch as { readonly metadata?: KubeObject["metadata"] }).metadata;
        const isOther = wanted?.uid !== undefined && wanted.uid !== metadata.uid;
        const isOlder = wanted?.resourceVersion !== undefined && wanted.resourceVersion !== metadata.resourceVersion;
        if (isOther || isOlder) throw new KubeError(409, "the object has been modified", { reason: "Conflict" });
        const before = find(resource, ref);
        model.change(objectKey(ref), patch);
        return (model.records.get(objectKey(ref)) ?? before) as unknown as T;
      }),
  };
}

function noAnswer(): KubeError {
  return new KubeError(0, "no answer", { reason: "NoAnswer" });
}

/** RFC 7386. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> =
    typeof target === "object" && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = merge(merged[name], value);
  }
  return merged;
}
