import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { KubeRequestRecord } from "#core/kubernetes/kube-client.ts";
import type { MounterMetrics } from "../control/ports.ts";

/** What is asked for when somebody looks. */
export interface Watched {
  readonly snapshots: () => number;
  readonly restores: () => number;
  readonly held: () => number;
  /** By where they lie. */
  readonly diskBytes: () => Readonly<Record<string, number>>;
  readonly isCollector: () => boolean;
}

/** The mounter's numbers, for Prometheus. */
export interface Metrics extends MounterMetrics {
  readonly apiCall: (record: KubeRequestRecord) => void;
  watch(watched: Watched): void;
  /** The exposition text and its content type. */
  render(): Promise<{ readonly text: string; readonly contentType: string }>;
}

/** 0.1 s to 820 s. */
const WORK_BUCKETS = Array.from({ length: 14 }, (_, power) => 0.1 * 2 ** power);
const SHORT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export function createMetrics(nowMs: () => number): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const queues = new Map<string, { readonly depth: number; readonly active: number }>();
  const informers = new Map<string, readonly { readonly lastProgressMs: number }[]>();

  const snapshots = new Histogram({
    name: "atoll_mounter_snapshot_duration_seconds",
    help: "Time from a snapshot's beginning on this node until it ended, well or badly.",
    buckets: WORK_BUCKETS,
    registers,
  });
  const begun = new Counter({
    name: "atoll_mounter_snapshots_begun_total",
    help: "Snapshots that this node began.",
    registers,
  });
  const restores = new Histogram({
    name: "atoll_mounter_restore_duration_seconds",
    help: "Time from a pod's appearance on this node until all that it starts from was in place, or could never be.",
    labelNames: ["outcome"] as const,
    buckets: WORK_BUCKETS,
    registers,
  });
  const layers = new Counter({
    name: "atoll_mounter_collected_layers_total",
    help: "Layers removed from the store that no snapshot names.",
    registers,
  });
  const layerBytes = new Counter({
    name: "atoll_mounter_collected_bytes_total",
    help: "Bytes of these layers.",
    registers,
  });
  const uploads = new Counter({
    name: "atoll_mounter_aborted_uploads_total",
    help: "Uploads ended that nobody would have finished.",
    registers,
  });
  const unreadable = new Counter({
    name: "atoll_mounter_unreadable_manifests_total",
    help: "Manifests met that do not tell what they name; layers older than these are kept.",
    registers,
  });
  const reconciles = new Histogram({
    name: "atoll_mounter_reconcile_duration_seconds",
    help: "Time of one reconcile.",
    labelNames: ["controller", "outcome"] as const,
    buckets: SHORT_BUCKETS,
    registers,
  });
  const waits = new Histogram({
    name: "atoll_mounter_queue_wait_seconds",
    help: "Time a key waited for a worker.",
    labelNames: ["controller"] as const,
    buckets: SHORT_BUCKETS,
    registers,
  });
  const calls = new Counter({
    name: "atoll_mounter_api_requests_total",
    help: "Requests to the API server; code 0 means no answer.",
    labelNames: ["verb", "resource", "code"] as const,
    registers,
  });
  const reconnects = new Counter({
    name: "atoll_mounter_informer_reconnects_total",
    help: "Ends of watches, by why they ended.",
    labelNames: ["resource", "reason"] as const,
    registers,
  });
  gauge(registry, "atoll_mounter_queue_depth", "Keys that wait for a worker.", "controller", (set) => {
    for (const [name, { depth }] of queues) set(depth, name);
  });
  gauge(
    registry,
    "atoll_mounter_informer_lag_seconds",
    "Time since a watch last said anything; of several of a kind, the longest.",
    "resource",
    (set) => {
      for (const [name, those] of informers) {
        const oldestMs = Math.min(...those.map(({ lastProgressMs }) => lastProgressMs));
        set(Math.max(0, nowMs() - oldestMs) / 1000, name);
      }
    },
  );

  return {
    records: { began: () => begun.inc(), ended: (durationMs) => snapshots.observe(durationMs / 1000) },
    restores: { restored: (outcome, durationMs) => restores.observe({ outcome }, durationMs / 1000) },
    collected: (found) => {
      layers.inc(found.removedLayers);
      layerBytes.inc(found.removedBytes);
      uploads.inc(found.abortedUploads);
      unreadable.inc(found.unreadable.length);
    },
    controller: (controller) => ({
      reconciled: (outcome, durationMs) => reconciles.observe({ controller, outcome }, durationMs / 1000),
      waited: (waitMs) => waits.observe({ controller }, waitMs / 1000),
    }),
    watchQueue: (name, queue) => void queues.set(name, queue),
    informer: (resource) => ({
      listed: () => undefined,
      reconnected: (reason) => reconnects.inc({ resource, reason }),
    }),
    watchInformer: (resource, informer) => void informers.set(resource, [...(informers.get(resource) ?? []), informer]),
    apiCall: ({ verb, resource, status }) => calls.inc({ verb, resource, code: status }),
    watch(watched) {
      gauge(registry, "atoll_mounter_snapshots", "Snapshots that are taken.", undefined, (set) =>
        set(watched.snapshots()),
      );
      gauge(registry, "atoll_mounter_restores", "Sandboxes that wait for what they start from.", undefined, (set) =>
        set(watched.restores()),
      );
      gauge(registry, "atoll_mounter_held_questions", "Questions of kubelet that are held.", undefined, (set) =>
        set(watched.held()),
      );
      gauge(registry, "atoll_mounter_disk_bytes", "Disk that it takes or has set aside.", "place", (set) => {
        for (const [place, bytes] of Object.entries(watched.diskBytes())) set(bytes, place);
      });
      gauge(registry, "atoll_mounter_collector", "1 while this mounter works for all.", undefined, (set) =>
        set(watched.isCollector() ? 1 : 0),
      );
    },
    render: async () => ({ text: await registry.metrics(), contentType: registry.contentType }),
  };
}

/** A number that is asked for when somebody looks. */
function gauge(
  registry: Registry,
  name: string,
  help: string,
  label: string | undefined,
  read: (set: (value: number, labelValue?: string) => void) => void,
): void {
  const made: Gauge = new Gauge({
    name,
    help,
    labelNames: label === undefined ? [] : [label],
    registers: [registry],
    collect: () =>
      read((value, labelValue) =>
        label === undefined || labelValue === undefined ? made.set(value) : made.set({ [label]: labelValue }, value),
      ),
  });
}
