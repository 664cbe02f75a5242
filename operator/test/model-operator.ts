import { createInformerCache, type InformerCache } from "#core/kubernetes/informer-cache.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { NETWORK_POLICIES, PODS, ROOTFS_SNAPSHOTS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";
import { createSandboxReconciler } from "#operator/control/sandbox-reconciler.ts";
import type { EventFacts } from "#operator/control/ports.ts";
import { SNAPSHOT_INDEXES, type NamespaceStores } from "#operator/control/sandbox-stores.ts";
import { createSnapshotReconciler } from "#operator/control/snapshot-reconciler.ts";
import type { SandboxSettings } from "#operator/domain/sandbox/settings.ts";
import { trimPod, trimPolicy, trimSandbox, trimSavablePod, trimSnapshot } from "#operator/domain/sandbox/trim.ts";
import { KINDS, type Kind, type ModelCluster } from "./model-cluster.ts";

const TRIMS: Record<string, (object: never) => unknown> = {
  [SANDBOXES.plural]: trimSandbox,
  [ROOTFS_SNAPSHOTS.plural]: trimSnapshot,
  [PODS.plural]: trimPod,
  [NETWORK_POLICIES.plural]: trimPolicy,
};

const HANDLER = "runsc";

export interface Look {
  readonly failed: boolean;
  readonly requeueAtMs?: number;
}

/** One operator process over the model: its caches are behind until they are told what happened. */
export class ModelOperator {
  /** Reasons of all events. */
  readonly told: string[] = [];
  readonly #cluster: ModelCluster;
  readonly #caches = new Map<string, { readonly cache: InformerCache<KubeObject>; told: number }>();
  readonly #settings: SandboxSettings;
  #reconcile: { readonly sandbox: Reconcile; readonly snapshot: Reconcile };

  /** A process that has just started has listed everything. */
  constructor(cluster: ModelCluster, settings: SandboxSettings) {
    this.#cluster = cluster;
    this.#settings = settings;
    for (const kind of KINDS) {
      const indexes = kind === ROOTFS_SNAPSHOTS.plural ? (SNAPSHOT_INDEXES as never) : {};
      const cache = createInformerCache<KubeObject>(() => {}, indexes);
      cache.beginList();
      cache.replace({
        items: cluster.all({ plural: kind }).map((object) => this.#trim(kind, object)),
        resourceVersion: cluster.version,
      });
      this.#caches.set(kind, { cache, told: cluster.history[kind]?.length ?? 0 });
    }
    this.#reconcile = this.#begin();
  }

  /** Takes over from another that led: with these caches, however far behind, and knowing nothing else. */
  lead(): this {
    this.#reconcile = this.#begin();
    return this;
  }

  #begin(): { readonly sandbox: Reconcile; readonly snapshot: Reconcile } {
    const stores = {
      sandboxes: this.#informer(SANDBOXES.plural),
      pods: this.#informer(PODS.plural),
      policies: this.#informer(NETWORK_POLICIES.plural),
      [this.#settings.snapshots === undefined ? "refusedSnapshots" : "snapshots"]: this.#informer(
        ROOTFS_SNAPSHOTS.plural,
      ),
    } as unknown as NamespaceStores;
    const shared = {
      client: this.#cluster.client(),
      stores: { of: () => stores },
      clock: { now: () => this.#cluster.nowMs },
      events: { record: (_object: unknown, { reason }: EventFacts) => void this.told.push(reason) },
      log: silentLog,
    };
    const sandbox = createSandboxReconciler({
      ...shared,
      settings: this.#settings,
      random: () => 0.5,
      agentKey: async (uid) => `key-of-${uid}`,
      hold: () => undefined,
      handler: () => HANDLER,
    });
    const runtimeClasses = { get: (name: string) => ({ metadata: { name }, handler: HANDLER }) };
    return { sandbox, snapshot: createSnapshotReconciler({ ...shared, runtimeClasses }) };
  }

  /** Tells a cache its next events. */
  hear(kind: Kind, most = Infinity): void {
    const entry = this.#caches.get(kind);
    const history = this.#cluster.history[kind] ?? [];
    for (let left = most; entry !== undefined && left > 0 && entry.told < history.length; left -= 1) {
      const event = history[entry.told];
      entry.told += 1;
      if (event === undefined) return;
      entry.cache.handle(
        event.kind === "bookmark" ? event : { kind: event.kind, object: this.#trim(kind, event.object) },
      );
    }
  }

  /** One look at a sandbox; true when it failed and would be tried again. */
  async reconcile(key: string, of: "sandbox" | "snapshot" = "sandbox"): Promise<Look> {
    try {
      return { failed: false, ...(await this.#reconcile[of](key, new AbortController().signal)) };
    } catch {
      return { failed: true };
    }
  }

  #trim(kind: string, object: KubeObject): KubeObject {
    const isSaved = kind === PODS.plural && this.#settings.snapshots !== undefined;
    return isSaved ? trimSavablePod(object as Pod) : (TRIMS[kind] as (object: KubeObject) => KubeObject)(object);
  }

  #informer(kind: string): Pick<Informer<KubeObject>, "byIndex" | "drop" | "get" | "upsert"> {
    const cache = (): InformerCache<KubeObject> => {
      const entry = this.#caches.get(kind);
      if (entry === undefined) throw new TypeError(`The model keeps no ${kind}`);
      return entry.cache;
    };
    return {
      get: (key) => cache().get(key),
      byIndex: (index, value) => cache().byIndex(index, value),
      upsert: (object) => cache().upsert(this.#trim(kind, object)),
      drop: (key, uid) => cache().drop(key, uid),
    };
  }
}
