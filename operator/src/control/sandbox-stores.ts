import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { KubeClient, Resource } from "#core/kubernetes/client.ts";
import type { Informer, InformerObserver, InformerOptions } from "#core/kubernetes/informer-port.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { customPolicyName, LABEL, podName } from "#core/kubernetes/names.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import { objectKey } from "#core/kubernetes/object-key.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { NETWORK_POLICIES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { trimPod, trimPolicy, trimSandbox, trimSavablePod, trimSnapshot } from "../domain/sandbox/trim.ts";
import { snapshotNameOf } from "../domain/snapshot/turn.ts";
import { sandboxOfTermination } from "../domain/termination-record.ts";

/** Local copies of all that belongs to the sandboxes of one namespace. */
export interface NamespaceStores {
  readonly sandboxes: Informer<SandboxResource>;
  readonly pods: Informer<Pod>;
  readonly policies: Informer<NetworkPolicy>;
  /** Absent where none are taken. */
  readonly snapshots?: Informer<RootfsSnapshotResource>;
  /** Records that somebody makes where none are taken; nothing waits until these are known. */
  readonly refusedSnapshots?: Informer<RootfsSnapshotResource>;
}

/** By which records of snapshots can be found. */
export const SNAPSHOT_INDEX = { sandbox: "sandbox", name: "name" } as const;

/** The same of all namespaces of an operator. Its access is to each namespace alone, so each has lists of its own. */
export interface SandboxStores {
  of(namespace: string): NamespaceStores | undefined;
  all(): Iterable<NamespaceStores>;
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when each cache has been filled once. */
  synced(signal: AbortSignal): Promise<void>;
  readonly isSynced: boolean;
  /** Says which sandbox something changed for, by its key; the result ends it. */
  onChange(listener: (key: string) => void): () => void;
  /** The sandboxes of one namespace. */
  in(namespace: string): Iterable<SandboxResource>;
}

export interface StoresOptions extends Pick<InformerOptions<KubeObject>, "clock" | "log" | "random"> {
  /** Records of snapshots are kept too, and what is needed of pods for them. */
  readonly withSnapshots?: boolean;
  /** Where the numbers of the caches go, by resource. */
  readonly observe: {
    informer(resource: string): InformerObserver;
    watchInformer(resource: string, informer: { readonly lastProgressMs: number }): void;
  };
}

export const SNAPSHOT_INDEXES = {
  [SNAPSHOT_INDEX.sandbox]: ({ spec }: RootfsSnapshotResource) => [spec.sandboxName],
  [SNAPSHOT_INDEX.name]: (record: RootfsSnapshotResource) => [snapshotNameOf(record)],
};

type OwnOptions<T extends KubeObject> = Pick<InformerOptions<T>, "query" | "trim" | "indexes">;

const SANDBOX_PARTS = `${LABEL.sandbox}=true`;

export function createSandboxStores(
  client: KubeClient,
  namespaces: readonly string[],
  options: StoresOptions,
): SandboxStores {
  const stores = new Map(namespaces.map((namespace) => [namespace, namespaceStores(client, namespace, options)]));
  const all: Pick<Informer<KubeObject>, "run" | "synced" | "isSynced">[] = [...stores.values()].flatMap((own) => [
    own.sandboxes,
    own.pods,
    own.policies,
    ...(own.snapshots === undefined ? [] : [own.snapshots]),
  ]);
  const besides = [...stores.values()].flatMap((own) => own.refusedSnapshots ?? []);
  return {
    of: (namespace) => stores.get(namespace),
    all: () => stores.values(),
    async run(signal) {
      await Promise.all([...all, ...besides].map((informer) => informer.run(signal)));
    },
    async synced(signal) {
      await Promise.all(all.map((informer) => informer.synced(signal)));
    },
    get isSynced() {
      return all.every((informer) => informer.isSynced);
    },
    onChange(listener) {
      const endings = [...stores.values()].flatMap(({ sandboxes, pods, policies, snapshots }) => [
        sandboxes.onChange((key) => listener(key)),
        pods.onChange((_key, now, before) => tellOwner(now ?? before, podName(""), listener)),
        policies.onChange((_key, now, before) => tellOwner(now ?? before, customPolicyName(""), listener)),
        ...(snapshots === undefined ? [] : [snapshots.onChange((key) => tellEnding(key, listener))]),
      ]);
      return () => endings.forEach((end) => end());
    },
    in: (namespace) => stores.get(namespace)?.sandboxes.values() ?? [],
  };
}

function namespaceStores(
  client: KubeClient,
  namespace: string,
  { observe, withSnapshots = false, ...options }: StoresOptions,
): NamespaceStores {
  const parts = { namespace, labelSelector: SANDBOX_PARTS };
  const informer = <T extends KubeObject>(resource: Resource<T>, own: OwnOptions<T>) => {
    const made = createInformer(client, resource, {
      ...options,
      ...own,
      observer: observe.informer(resource.plural),
    });
    observe.watchInformer(resource.plural, made);
    return made;
  };
  const snapshots = informer(ROOTFS_SNAPSHOTS, { query: { namespace }, trim: trimSnapshot, indexes: SNAPSHOT_INDEXES });
  return {
    sandboxes: informer(SANDBOXES, { query: { namespace }, trim: trimSandbox }),
    pods: informer(PODS, { query: parts, trim: withSnapshots ? trimSavablePod : trimPod }),
    policies: informer(NETWORK_POLICIES, { query: parts, trim: trimPolicy }),
    ...(withSnapshots ? { snapshots } : { refusedSnapshots: snapshots }),
  };
}

/** By the name, not by the owner: one that belongs to nobody stands in the way of a sandbox all the same. */
function tellOwner(object: KubeObject | undefined, suffix: string, listener: (key: string) => void): void {
  if (object === undefined || !object.metadata.name.endsWith(suffix)) return;
  const { namespace, name } = object.metadata;
  listener(objectKey({ ...(namespace === undefined ? {} : { namespace }), name: name.slice(0, -suffix.length) }));
}

/** How the snapshot at a sandbox's end goes decides when the sandbox may. */
function tellEnding(key: string, listener: (key: string) => void): void {
  const sandbox = sandboxOfTermination(key);
  if (sandbox !== undefined) listener(sandbox);
}
