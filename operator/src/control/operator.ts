import { deriveAgentKey } from "#core/agent-proof.ts";
import type { Clock } from "#core/clock.ts";
import type { AgentKeySet } from "#core/kubernetes/agent-keys.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import type { Informer, InformerObserver } from "#core/kubernetes/informer-port.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { keyOf } from "#core/kubernetes/object-key.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { CONFIG_MAPS, RUNTIME_CLASSES, VALIDATING_ADMISSION_POLICY_BINDINGS } from "#core/kubernetes/resources.ts";
import type { Log } from "#core/log.ts";
import type { NetworkTrial, NetworkVerdict } from "../domain/network-check.ts";
import type { SandboxSettings } from "../domain/sandbox/settings.ts";
import { createController, type Controller } from "#core/kubernetes/control/controller.ts";
import { createDrainNamespace, DRAIN_GUARD_QUERY } from "./drain-namespace.ts";
import { createFenceWatch } from "./fence-watch.ts";
import { createNetworkCheck } from "./network-check.ts";
import type { ControllerObserver, Reconcile } from "#core/kubernetes/control/reconcile.ts";
import type { EventRecorder, SandboxObserver, SnapshotObserver } from "./ports.ts";
import { createSandboxReconciler } from "./sandbox-reconciler.ts";
import { createSandboxStores } from "./sandbox-stores.ts";
import { createSnapshotReconciler } from "./snapshot-reconciler.ts";
import { onSnapshotChange } from "./snapshot-triggers.ts";

/** The operator of sandboxes, without what connects it to a process. */
export interface Operator {
  /** Keeps the caches and looks at the fence until the signal fires: leader or not, so that whoever takes over knows. */
  watch(signal: AbortSignal): Promise<void>;
  /** Works on sandboxes until the signal fires and all that had begun is done. */
  lead(keys: AgentKeySet, term: AbortSignal): Promise<void>;
  /** What it waits for before it can do its work; empty when it can. */
  readonly waitsFor: readonly string[];
}

export interface OperatorOptions {
  /** Reads and trials; may be used at any time. */
  readonly reader: KubeClient;
  /** Writes only while this process leads. */
  readonly writer: KubeClient;
  readonly namespaces: readonly string[];
  /** Begins the names of the admission policies that must be in force. */
  readonly fencePrefix: string;
  readonly settings: (keys: AgentKeySet) => SandboxSettings;
  readonly concurrency: number;
  /** Take and restore snapshots. */
  readonly withSnapshots: boolean;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly events: EventRecorder;
  /** Where and of what the trial of network policies is made; absent = none is. */
  readonly networkTrial?: NetworkTrial;
  readonly metrics: OperatorMetrics;
}

export interface OperatorMetrics {
  readonly sandboxes: SandboxObserver;
  readonly snapshots: SnapshotObserver;
  readonly networkVerdict: (verdict: NetworkVerdict) => void;
  controller(name: string): ControllerObserver;
  watchQueue(name: string, queue: Controller): void;
  informer(resource: string): InformerObserver;
  watchInformer(resource: string, informer: { readonly lastProgressMs: number }): void;
}

export function createOperator(options: OperatorOptions): Operator {
  const { reader, writer, namespaces, clock, random, log, metrics } = options;
  const shared = { clock, random, log };
  const stores = createSandboxStores(reader, namespaces, {
    ...shared,
    observe: metrics,
    withSnapshots: options.withSnapshots,
  });
  const runtimeClasses = createInformer(reader, RUNTIME_CLASSES, {
    ...shared,
    observer: metrics.informer(RUNTIME_CLASSES.plural),
  });
  const bindings = createInformer(reader, VALIDATING_ADMISSION_POLICY_BINDINGS, {
    ...shared,
    observer: metrics.informer(VALIDATING_ADMISSION_POLICY_BINDINGS.plural),
  });
  const guards = namespaces.map((namespace) =>
    createInformer(reader, CONFIG_MAPS, { ...shared, query: { namespace, ...DRAIN_GUARD_QUERY } }),
  );
  const fence = createFenceWatch({ client: reader, bindings, prefix: options.fencePrefix, ...shared });
  const controller = (name: string, reconcile: Reconcile, concurrency: number): Controller => {
    const made = createController(reconcile, { ...shared, concurrency, observer: metrics.controller(name) });
    metrics.watchQueue(name, made);
    return made;
  };

  const fences = controller("fence", fence.reconcile, 1);
  bindings.onChange(() => namespaces.forEach((namespace) => fences.enqueue(namespace)));

  const tryNetwork = async (term: AbortSignal): Promise<void> => {
    const trial = options.networkTrial;
    if (trial === undefined) return;
    const check = { client: writer, clock, log, events: options.events, report: metrics.networkVerdict, trial };
    const trials = controller("network", createNetworkCheck({ ...check, sandboxNamespaces: namespaces }), 1);
    trials.enqueue(trial.namespace);
    await trials.run(term);
  };

  const caches: readonly Pick<Informer<KubeObject>, "run" | "synced">[] = [
    stores,
    bindings,
    ...guards,
    ...(options.withSnapshots ? [runtimeClasses] : []),
  ];

  /** False: the term was over before. */
  const filled = async (term: AbortSignal): Promise<boolean> => {
    try {
      await Promise.all(caches.map((cache) => cache.synced(term)));
      return true;
    } catch (error) {
      if (term.aborted) return false;
      throw error;
    }
  };

  return {
    async watch(signal) {
      namespaces.forEach((namespace) => fences.enqueue(namespace));
      await Promise.all([fences.run(signal), ...caches.map((cache) => cache.run(signal))]);
    },

    async lead(keys, term) {
      if (!(await filled(term))) return;
      const reconcile = createSandboxReconciler({
        ...shared,
        client: writer,
        stores,
        settings: options.settings(keys),
        events: options.events,
        observer: metrics.sandboxes,
        agentKey: (uid) => deriveAgentKey(keys.agentMasterKey, uid),
        hold: fence.hold,
        handler: (name) => runtimeClasses.get(name)?.handler,
      });
      const sandboxes = controller("sandbox", reconcile, options.concurrency);
      const snapshots = controller(
        "snapshot",
        createSnapshotReconciler({
          ...shared,
          client: writer,
          stores,
          runtimeClasses,
          events: options.events,
          observer: metrics.snapshots,
        }),
        options.concurrency,
      );
      const drains = controller("drain", createDrainNamespace({ client: writer, clock }), namespaces.length);
      const endings = [
        stores.onChange((key) => sandboxes.enqueue(key)),
        fence.onChange((namespace) => enqueueAll(sandboxes, stores.in(namespace))),
        ...[...stores.all()].map((own) => onSnapshotChange(own, (key) => snapshots.enqueue(key))),
        ...guards.map((guard) => guard.onChange((key) => drains.enqueue(key))),
      ];
      for (const namespace of namespaces) enqueueAll(sandboxes, stores.in(namespace));
      for (const own of stores.all()) enqueueAll(snapshots, (own.snapshots ?? own.refusedSnapshots)?.values() ?? []);
      for (const guard of guards) enqueueAll(drains, guard.values());
      try {
        await Promise.all([sandboxes.run(term), snapshots.run(term), drains.run(term), tryNetwork(term)]);
      } finally {
        for (const end of endings) end();
      }
    },

    get waitsFor() {
      const held = namespaces.filter((namespace) => fence.hold(namespace) !== undefined);
      return [
        ...(stores.isSynced && bindings.isSynced ? [] : ["its caches to be filled"]),
        ...held.map((namespace) => `the admission policies of namespace "${namespace}"`),
      ];
    },
  };
}

function enqueueAll(controller: Controller, objects: Iterable<KubeObject>): void {
  for (const object of objects) controller.enqueue(keyOf(object));
}
