import type { ControllerObserver } from "#core/kubernetes/control/reconcile.ts";
import type { InformerObserver } from "#core/kubernetes/informer-port.ts";
import type { RecordObserver } from "./record-reconciler.ts";
import type { RestoreObserver } from "./restore-reconciler.ts";

/** What one look of the collector at a namespace found and did. */
export interface CollectedNamespace {
  readonly removedLayers: number;
  readonly removedBytes: number;
  readonly abortedUploads: number;
  /** Manifests that do not tell what they name, and why: layers that they might name are kept. */
  readonly unreadable: readonly { readonly key: string; readonly fault: string }[];
}

/** Where the mounter's numbers go. */
export interface MounterMetrics {
  readonly records: RecordObserver;
  readonly restores: RestoreObserver;
  readonly collected: (what: CollectedNamespace) => void;
  controller(name: string): ControllerObserver;
  watchQueue(name: string, queue: { readonly depth: number; readonly active: number }): void;
  informer(resource: string): InformerObserver;
  watchInformer(resource: string, informer: { readonly lastProgressMs: number }): void;
}
