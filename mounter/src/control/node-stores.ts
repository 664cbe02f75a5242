import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { KubeClient, Resource } from "#core/kubernetes/client.ts";
import type { Informer, InformerObserver, InformerOptions } from "#core/kubernetes/informer-port.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { LABEL } from "#core/kubernetes/names.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { trimPod, trimRecord, trimSandbox } from "../domain/trim.ts";

/** Local copies of what a mounter works on in one namespace. */
export interface NamespaceStores {
  readonly sandboxes: Informer<SandboxResource>;
  /** Of this node alone. */
  readonly pods: Informer<Pod>;
  readonly records: Informer<RootfsSnapshotResource>;
}

/** The same of all namespaces. Its access is to each namespace alone, so each has lists of its own. */
export interface NodeStores {
  of(namespace: string): NamespaceStores | undefined;
  readonly all: readonly NamespaceStores[];
  run(signal: AbortSignal): Promise<void>;
  synced(signal: AbortSignal): Promise<void>;
  readonly isSynced: boolean;
}

export interface NodeStoresOptions extends Pick<InformerOptions<KubeObject>, "clock" | "log" | "random"> {
  readonly nodeName: string;
  readonly observe: {
    informer(resource: string): InformerObserver;
    watchInformer(resource: string, informer: { readonly lastProgressMs: number }): void;
  };
}

/** Finds a sandbox by its uid, and a pod by that of its sandbox. */
export const BY_SANDBOX_UID = "sandbox-uid";

export function createNodeStores(
  client: KubeClient,
  namespaces: readonly string[],
  options: NodeStoresOptions,
): NodeStores {
  const stores = new Map(namespaces.map((namespace) => [namespace, storesOf(client, namespace, options)]));
  const all = [...stores.values()];
  const informers = all.flatMap(({ sandboxes, pods, records }) => [sandboxes, pods, records]);
  return {
    of: (namespace) => stores.get(namespace),
    all,
    async run(signal) {
      await Promise.all(informers.map((informer) => informer.run(signal)));
    },
    async synced(signal) {
      await Promise.all(informers.map((informer) => informer.synced(signal)));
    },
    get isSynced() {
      return informers.every((informer) => informer.isSynced);
    },
  };
}

function storesOf(
  client: KubeClient,
  namespace: string,
  { observe, nodeName, ...options }: NodeStoresOptions,
): NamespaceStores {
  const informer = <T extends KubeObject>(resource: Resource<T>, own: Partial<InformerOptions<T>>) => {
    const made = createInformer(client, resource, { ...options, ...own, observer: observe.informer(resource.plural) });
    observe.watchInformer(resource.plural, made);
    return made;
  };
  const pods = {
    query: { namespace, labelSelector: `${LABEL.sandbox}=true`, fieldSelector: `spec.nodeName=${nodeName}` },
    trim: trimPod,
    indexes: {
      [BY_SANDBOX_UID]: ({ metadata }: Pod) =>
        (metadata.ownerReferences ?? []).filter(({ kind }) => kind === "Sandbox").map(({ uid }) => uid),
    },
  };
  const sandboxes = {
    query: { namespace },
    trim: trimSandbox,
    indexes: {
      [BY_SANDBOX_UID]: ({ metadata: { uid } }: SandboxResource) => (uid === undefined ? [] : [uid]),
    },
  };
  return {
    sandboxes: informer(SANDBOXES, sandboxes),
    pods: informer(PODS, pods),
    records: informer(ROOTFS_SNAPSHOTS, { query: { namespace }, trim: trimRecord }),
  };
}
