import { describe, expect, it } from "vitest";
import { createInformerCache } from "#core/kubernetes/informer-cache.ts";
import type { ChangeListener } from "#core/kubernetes/informer-port.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { IndexFunctions } from "#core/kubernetes/object-index.ts";
import { samplePod, sampleSandbox } from "../../test/samples.ts";
import { ASSIGNED, sampleRecord } from "../../test/snapshot-samples.ts";
import { SNAPSHOT_INDEXES, type NamespaceStores } from "./sandbox-stores.ts";
import { onSnapshotChange } from "./snapshot-triggers.ts";

/** A cache with its listeners, without what fills it. */
function store<T extends KubeObject>(indexes: IndexFunctions<T> = {}) {
  const listeners = new Set<ChangeListener<T>>();
  const cache = createInformerCache<T>((...change) => listeners.forEach((listener) => listener(...change)), indexes);
  cache.beginList();
  cache.replace({ items: [], resourceVersion: "1" });
  return {
    ...cache,
    onChange(listener: ChangeListener<T>) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

const record = (name: string, resourceVersion: string, spec = {}, status = {}) =>
  sampleRecord(spec, { metadata: { name, uid: name, resourceVersion }, status });
const ended = {
  ...ASSIGNED,
  conditions: [{ type: "Succeeded", status: "True", reason: "Succeeded", message: "", lastTransitionTime: "" }],
};

it("tells of records that somebody makes where no snapshots are taken", () => {
  const refusedSnapshots = store(SNAPSHOT_INDEXES as never);
  const told: string[] = [];
  const stores = { sandboxes: store(), pods: store(), refusedSnapshots } as unknown as NamespaceStores;
  const end = onSnapshotChange(stores, (key) => told.push(key));
  refusedSnapshots.upsert(record("first", "2"));
  end();
  refusedSnapshots.upsert(record("next", "3"));
  expect(told).toEqual(["ns/first"]);
});

function stage() {
  const sandboxes = store();
  const pods = store();
  const snapshots = store(SNAPSHOT_INDEXES as never);
  const told: string[] = [];
  const end = onSnapshotChange({ sandboxes, pods, snapshots } as unknown as NamespaceStores, (key) => told.push(key));
  snapshots.upsert(record("first", "2", { snapshotName: "x" }));
  snapshots.upsert(record("next", "3", { snapshotName: "x", sandboxName: "b" }));
  snapshots.upsert(record("over", "4", { snapshotName: "y" }, ended));
  told.length = 0;
  return { sandboxes, pods, snapshots, told, end };
}

describe("onSnapshotChange()", () => {
  it("tells of the open records of a sandbox when it or its pod changes", () => {
    const { sandboxes, pods, told } = stage();
    sandboxes.upsert({ metadata: { ...sampleSandbox().metadata, resourceVersion: "5" } });
    pods.upsert({ metadata: { ...samplePod().metadata, resourceVersion: "6" } });
    pods.upsert({ metadata: { name: "other", namespace: "ns", uid: "o", resourceVersion: "7" } });
    expect(told).toEqual(["ns/first", "ns/first"]);
  });

  it("tells of those that waited for one that has ended or is gone, and not while it goes on", () => {
    const { snapshots, told } = stage();
    snapshots.upsert(record("first", "5", { snapshotName: "x" }, ASSIGNED));
    expect(told).toEqual(["ns/first"]);
    snapshots.upsert(record("first", "6", { snapshotName: "x" }, ended));
    expect(told).toEqual(["ns/first", "ns/first", "ns/next"]);
    told.length = 0;
    snapshots.upsert(record("third", "7", { snapshotName: "x" }));
    snapshots.drop("ns/next", "next");
    expect(told).toEqual(["ns/third", "ns/next", "ns/third"]);
  });

  it("tells of nothing any more when it was ended, and of nothing where none are taken", () => {
    const { sandboxes, pods, snapshots, told, end } = stage();
    end();
    snapshots.upsert(record("first", "5", { snapshotName: "x" }, ended));
    expect(told).toEqual([]);
    expect(onSnapshotChange({ sandboxes, pods } as unknown as NamespaceStores, (key) => told.push(key))()).toBe(
      undefined,
    );
  });
});
