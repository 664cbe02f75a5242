import { createInformerCache, type InformerCache } from "#core/kubernetes/informer-cache.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { NETWORK_POLICIES, PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";
import { createSandboxReconciler } from "#operator/control/sandbox-reconciler.ts";
import type { NamespaceStores } from "#operator/control/sandbox-stores.ts";
import type { SandboxSettings } from "#operator/domain/sandbox/settings.ts";
import { trimPod, trimPolicy, trimSandbox } from "#operator/domain/sandbox/trim.ts";
import { KINDS, type Kind, type ModelCluster } from "./model-cluster.ts";

const TRIMS: Record<string, (object: never) => unknown> = {
  [SANDBOXES.plural]: trimSandbox,
  [PODS.plural]: trimPod,
  [NETWORK_POLICIES.plural]: trimPolicy,
};

/** One operator process over the model: its caches are behind until they are told what happened. */
export class ModelOperator {
  readonly #cluster: ModelCluster;
  readonly #caches = new Map<string, { readonly cache: InformerCache<KubeObject>; told: number }>();
  readonly #settings: SandboxSettings;
  #reconcile: Reconcile;

  /** A process that has just started has listed everything. */
  constructor(cluster: ModelCluster, settings: SandboxSettings) {
    this.#cluster = cluster;
    this.#settings = settings;
    for (const kind of KINDS) {
      const cache = createInformerCache<KubeObject>(() => {});
      cache.beginList();
      cache.replace({
        items: cluster.all({ plural: kind }).map((object) => trim(kind, object)),
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

  #begin(): Reconcile {
    const stores = {
      sandboxes: this.#informer(SANDBOXES.plural),
      pods: this.#informer(PODS.plural),
      policies: this.#informer(NETWORK_POLICIES.plural),
    } as unknown as NamespaceStores;
    return createSandboxReconciler({
      client: this.#cluster.client(),
      stores: { of: () => stores },
      settings: this.#settings,
      clock: { now: () => this.#cluster.nowMs },
      random: () => 0.5,
      events: { record: () => {} },
      agentKey: async (uid) => `key-of-${uid}`,
      hold: () => undefined,
      handler: () => "runsc",
      log: silentLog,
    });
  }

  /** Tells a cache its next events. */
  hear(kind: Kind, most = Infinity): void {
    const entry = this.#caches.get(kind);
    const history = this.#cluster.history[kind] ?? [];
    for (let left = most; entry !== undefined && left > 0 && entry.told < history.length; left -= 1) {
      const event = history[entry.told];
      entry.told += 1;
      if (event === undefined) return;
      entry.cache.handle(event.kind === "bookmark" ? event : { kind: event.kind, object: trim(kind, event.object) });
    }
  }

  /** One look at a sandbox; true when it failed and would be tried again. */
  async reconcile(key: string): Promise<{ readonly failed: boolean; readonly requeueAtMs?: number }> {
    try {
      return { failed: false, ...(await this.#reconcile(key, new AbortController().signal)) };
    } catch {
      return { failed: true };
    }
  }

  #informer(kind: string): Pick<Informer<KubeObject>, "drop" | "get" | "upsert"> {
    const cache = (): InformerCache<KubeObject> => {
      const entry = this.#caches.get(kind);
      if (entry === undefined) throw new TypeError(`The model keeps no ${kind}`);
      return entry.cache;
    };
    return {
      get: (key) => cache().get(key),
      upsert: (object) => cache().upsert(trim(kind, object)),
      drop: (key, uid) => cache().drop(key, uid),
    };
  }
}

function trim(kind: string, object: KubeObject): KubeObject {
  return (TRIMS[kind] as (object: KubeObject) => KubeObject)(object);
}
