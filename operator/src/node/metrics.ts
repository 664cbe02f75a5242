import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { InformerObserver } from "#core/kubernetes/informer-port.ts";
import type { KubeRequestRecord } from "#core/kubernetes/kube-client.ts";
import type { NetworkVerdict } from "../domain/network-check.ts";
import type { ControllerObserver } from "#core/kubernetes/control/reconcile.ts";
import type { SandboxObserver, SnapshotObserver } from "../control/ports.ts";

/** What a controller says of itself when it is asked. */
interface Queue {
  readonly depth: number;
  readonly active: number;
}

/** The operator's numbers, for Prometheus. Names of the sandboxes' own are the cluster contract's. */
export interface Metrics {
  readonly sandboxes: SandboxObserver;
  readonly snapshots: SnapshotObserver;
  controller(name: string): ControllerObserver;
  /** Reports the queue of the controller of this name whenever somebody asks; a later one replaces it. */
  watchQueue(name: string, queue: Queue): void;
  informer(resource: string): InformerObserver;
  /** Reports the time since the informer last heard of the API server. */
  watchInformer(resource: string, informer: { readonly lastProgressMs: number }): void;
  /** What the last trial of the cluster's network policies found. */
  readonly networkVerdict: (verdict: NetworkVerdict) => void;
  watchLeadership(leadership: { readonly isHeld: boolean }): void;
  readonly apiCall: (record: KubeRequestRecord) => void;
  /** The exposition text and its content type. */
  render(): Promise<{ readonly text: string; readonly contentType: string }>;
}

/** 0.5 s to 128 s. Source: the cluster contract. */
const READY_BUCKETS = Array.from({ length: 9 }, (_, power) => 0.5 * 2 ** power);
const SHORT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

const VERDICTS: Readonly<Record<NetworkVerdict, number>> = { enforced: 1, "not-enforced": 0, unknown: -1 };

export function createMetrics(nowMs: () => number): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const queues = new Map<string, Queue>();
  /** Several of a resource where each namespace has its own. */
  const informers = new Map<string, readonly { readonly lastProgressMs: number }[]>();
  let leadership = { isHeld: false };

  const created = new Counter({
    name: "isola_sandbox_created_total",
    help: "Sandboxes whose pod was made.",
    registers,
  });
  const timedOut = new Counter({
    name: "isola_sandbox_timed_out_total",
    help: "Sandboxes whose lifetime was over.",
    registers,
  });
  const snapshotsBegun = new Counter({
    name: "isola_rootfssnapshot_created_total",
    help: "Snapshots that a node was given, or that failed before.",
    registers,
  });
  const snapshotsEnded = new Counter({
    name: "isola_rootfssnapshot_completed_total",
    help: "Snapshots that ended, by how.",
    labelNames: ["result"] as const,
    registers,
  });
  const ready = new Histogram({
    name: "isola_sandbox_ready_duration_seconds",
    help: "Time from a sandbox's creation until it was ready.",
    buckets: READY_BUCKETS,
    registers,
  });
  const reconciles = new Histogram({
    name: "atoll_operator_reconcile_duration_seconds",
    help: "Time of one reconcile.",
    labelNames: ["controller", "outcome"] as const,
    buckets: SHORT_BUCKETS,
    registers,
  });
  const waits = new Histogram({
    name: "atoll_operator_queue_wait_seconds",
    help: "Time a key waited for a worker.",
    labelNames: ["controller"] as const,
    buckets: SHORT_BUCKETS,
    registers,
  });
  const calls = new Counter({
    name: "atoll_operator_api_requests_total",
    help: "Requests to the API server; code 0 means no answer.",
    labelNames: ["verb", "resource", "code"] as const,
    registers,
  });
  const callTimes = new Histogram({
    name: "atoll_operator_api_request_duration_seconds",
    help: "Time of one request to the API server; of a watch, until it began.",
    labelNames: ["verb"] as const,
    buckets: SHORT_BUCKETS,
    registers,
  });
  const reconnects = new Counter({
    name: "atoll_operator_informer_reconnects_total",
    help: "Ends of watches, by why they ended.",
    labelNames: ["resource", "reason"] as const,
    registers,
  });
  const listTimes = new Histogram({
    name: "atoll_operator_informer_list_duration_seconds",
    help: "Time to list all objects of a kind.",
    labelNames: ["resource"] as const,
    buckets: SHORT_BUCKETS,
    registers,
  });
  gauge(registry, "atoll_operator_queue_depth", "Keys that wait for a worker.", "controller", (set) => {
    for (const [name, { depth }] of queues) set(depth, name);
  });
  gauge(registry, "atoll_operator_queue_active", "Keys that workers have.", "controller", (set) => {
    for (const [name, { active }] of queues) set(active, name);
  });
  gauge(
    registry,
    "atoll_operator_informer_lag_seconds",
    "Time since a watch last said anything; of several of a kind, the longest.",
    "resource",
    (set) => {
      for (const [name, those] of informers) {
        const oldestMs = Math.min(...those.map(({ lastProgressMs }) => lastProgressMs));
        set(Math.max(0, nowMs() - oldestMs) / 1000, name);
      }
    },
  );
  gauge(registry, "atoll_operator_leader", "1 while this replica leads.", undefined, (set) => {
    set(leadership.isHeld ? 1 : 0);
  });

  const enforced = new Gauge({
    name: "atoll_operator_network_policy_enforced",
    help: "1 = the cluster enforces network policies, 0 = it does not, -1 = not known.",
    registers,
  });
  enforced.set(VERDICTS.unknown);

  return {
    networkVerdict: (verdict) => enforced.set(VERDICTS[verdict]),
    sandboxes: {
      created: () => created.inc(),
      timedOut: () => timedOut.inc(),
      ready: (durationMs) => ready.observe(durationMs / 1000),
    },
    snapshots: {
      created: () => snapshotsBegun.inc(),
      completed: (result) => snapshotsEnded.inc({ result }),
    },
    controller: (controller) => ({
      reconciled: (outcome, durationMs) => reconciles.observe({ controller, outcome }, durationMs / 1000),
      waited: (waitMs) => waits.observe({ controller }, waitMs / 1000),
    }),
    watchQueue: (name, queue) => void queues.set(name, queue),
    informer: (resource) => ({
      listed: (_objects, durationMs) => listTimes.observe({ resource }, durationMs / 1000),
      reconnected: (reason) => reconnects.inc({ resource, reason }),
    }),
    watchInformer: (resource, informer) => void informers.set(resource, [...(informers.get(resource) ?? []), informer]),
    watchLeadership: (current) => void (leadership = current),
    apiCall: ({ verb, resource, status, durationMs }) => {
      calls.inc({ verb, resource, code: status });
      callTimes.observe({ verb }, durationMs / 1000);
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
