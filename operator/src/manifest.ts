import * as z from "zod";
import {
  countVariable,
  flagVariable,
  listVariable,
  listenVariable,
  parseEnvironment,
  type Variables,
} from "#api/environment.ts";
import { parseQuantity } from "#core/quantity.ts";
import {
  RESTORE_FOLDER,
  RESTORE_PORT,
  RUNTIME_CLASS,
  SANDBOX_NAMESPACE,
  SYSTEM_NAMESPACE,
} from "#core/kubernetes/names.ts";

export {
  OPERATOR_CLUSTER_RULES,
  OPERATOR_LEASE,
  OPERATOR_NETWORK_TRIAL_RULES,
  OPERATOR_SANDBOX_NAMESPACE_RULES,
  OPERATOR_SNAPSHOT_CLUSTER_RULES,
  OPERATOR_SNAPSHOT_NAMESPACE_RULES,
  OPERATOR_SYSTEM_NAMESPACE_RULES,
} from "./rules.ts";

export { TRIAL_COMMANDS } from "./domain/network-trial-commands.ts";

/** Where the operator listens: metrics, and what the kubelet asks. */
export const OPERATOR_PORTS = { metrics: 8080, health: 8081 } as const;
export const OPERATOR_PATHS = { metrics: "/metrics", live: "/healthz", ready: "/readyz" } as const;

const Name = z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, "Expected the name of an object");
const Names = listVariable().pipe(z.array(Name));
const Amount = z.string().refine((text) => parseQuantity(text) !== undefined, "Expected a Kubernetes quantity");
const MIB = 1 << 20;
const YEAR_SECONDS = 31_536_000;

/** Environment of the operator. The program parses with it; what starts the program renders it. */
export const OperatorEnvironment = z.object({
  /** `host:port` of the Prometheus metrics. */
  ATOLL_METRICS_LISTEN: listenVariable(`0.0.0.0:${OPERATOR_PORTS.metrics}`),
  /** `host:port` of `/healthz` and `/readyz`. */
  ATOLL_HEALTH_LISTEN: listenVariable(`0.0.0.0:${OPERATOR_PORTS.health}`),
  /** Elect a leader among replicas. Without it exactly one operator may run. */
  ATOLL_LEADER_ELECTION: flagVariable(true),
  /** Name of this pod, for the lease and for events; absent = the machine's. */
  ATOLL_POD_NAME: Name.optional(),
  /** Where the operator itself lives: its lease and the agents' keys. */
  ATOLL_SYSTEM_NAMESPACE: Name.default(SYSTEM_NAMESPACE),
  /** Namespaces whose sandboxes this operator runs. */
  ATOLL_SANDBOX_NAMESPACES: listVariable([SANDBOX_NAMESPACE]).pipe(
    z.array(Name).min(1, "Expected at least one namespace"),
  ),
  /** Begins the names of the admission policies that fence the namespaces in: no pod is created before they are in force. */
  ATOLL_FENCE_PREFIX: Name.default("atoll"),
  /** The agent's image; of the operator's own build. */
  ATOLL_SIDECAR_IMAGE: z.string().min(1),
  ATOLL_SIDECAR_IMAGE_PULL_POLICY: z.enum(["Always", "IfNotPresent", "Never"]).default("IfNotPresent"),
  /** The agent's own need, added on top of the amounts that a sandbox asks for. */
  ATOLL_SIDECAR_CPU_REQUEST: Amount.default("10m"),
  ATOLL_SIDECAR_MEMORY_REQUEST: Amount.default("48Mi"),
  /** In force where every container of a sandbox has a limit of its own. */
  ATOLL_SIDECAR_CPU_LIMIT: Amount.default("200m"),
  ATOLL_SIDECAR_MEMORY_LIMIT: Amount.default("128Mi"),
  /** Most bytes of output that one agent keeps on the node's disk. */
  ATOLL_SIDECAR_JOURNAL_BYTES: countVariable(1024 * MIB, MIB, 2 ** 50 - 1),
  /** Runtime class of sandbox pods. */
  ATOLL_RUNTIME_CLASS: Name.default(RUNTIME_CLASS),
  /** Priority class of sandbox pods; absent = the cluster's default. */
  ATOLL_PRIORITY_CLASS: Name.optional(),
  /** Secrets in the sandbox namespaces with which sandbox pods pull images, beside those of their templates. */
  ATOLL_IMAGE_PULL_SECRETS: Names,
  /** How long a sandbox object stays after its lifetime was over, in seconds. */
  ATOLL_TIMEOUT_RETENTION_SECONDS: countVariable(30, 0, YEAR_SECONDS),
  /** The same for one that never started. */
  ATOLL_FAILED_RETENTION_SECONDS: countVariable(3600, 0, YEAR_SECONDS),
  /** The same for one that ran and ended by itself. */
  ATOLL_FINISHED_RETENTION_SECONDS: countVariable(86_400, 0, YEAR_SECONDS),
  /** A sandbox whose creator never confirmed it is removed when it is so old, in seconds. */
  ATOLL_PROVISIONAL_SECONDS: countVariable(300, 1, YEAR_SECONDS),
  /** Take and restore snapshots: a store is configured, and every node has a mounter. */
  ATOLL_SNAPSHOTS: flagVariable(false),
  /** Where the mounter of a node answers kubelet, on the loopback address; the mounter's own setting. */
  ATOLL_RESTORE_PORT: countVariable(RESTORE_PORT, 1, 65_535),
  /** Host folder of the archives that sandboxes start from; the mounter's own setting. */
  ATOLL_RESTORE_FOLDER: z
    .string()
    .regex(/^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)+$/, "Expected an absolute path")
    .default(RESTORE_FOLDER),
  /** Try with two short-lived pods, in the operator's own namespace, whether the cluster enforces network policies. */
  ATOLL_NETWORK_CHECK: flagVariable(true),
  /** Sandboxes worked on at once. */
  ATOLL_CONCURRENCY: countVariable(32, 1, 1024),
  ATOLL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
});

export type OperatorEnvironment = z.infer<typeof OperatorEnvironment>;

/** The operator's environment, or one error that names all its faults. */
export function readEnvironment(variables: Variables): Readonly<OperatorEnvironment> {
  return parseEnvironment(OperatorEnvironment, variables);
}
