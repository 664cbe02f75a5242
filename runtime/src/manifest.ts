import * as z from "zod";
import {
  countVariable,
  flagVariable,
  listVariable,
  optionalListenVariable,
  parseEnvironment,
} from "#api/environment.ts";
import { AGENT_KEYS_SECRET, SANDBOX_GROUP, SANDBOX_NAMESPACE, SYSTEM_NAMESPACE } from "#core/kubernetes/names.ts";
import type { PolicyRule } from "#core/kubernetes/policy-rule.ts";
import { DEFAULT_RETENTION_MS } from "#core/lifecycle.ts";
import { StoreUrl } from "#mounter/manifest.ts";
import { DEFAULT_GATEWAY_CONFIG, MAX_CREATE_WAIT_MS, type GatewayConfig } from "./gateway-config.ts";

const defaults = DEFAULT_GATEWAY_CONFIG;
const Namespace = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "Expected the name of a namespace");

/** Where the gateway listens in a pod, what the kubelet asks there, and where its metrics are, on a port of their own. */
export const GATEWAY_PORTS = { http: 8080, metrics: 9090 } as const;
export const GATEWAY_PATHS = { live: "/healthz", ready: "/readyz", metrics: "/metrics" } as const;

/** What the gateway may do in the namespace of its sandboxes. */
export const GATEWAY_SANDBOX_NAMESPACE_RULES: readonly PolicyRule[] = [
  {
    apiGroups: [SANDBOX_GROUP],
    resources: ["sandboxes"],
    verbs: ["get", "list", "watch", "create", "patch", "delete"],
  },
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch"] },
];

/** What it may do there beside that where the installation takes snapshots. */
export const GATEWAY_SNAPSHOT_RULES: readonly PolicyRule[] = [
  {
    apiGroups: [SANDBOX_GROUP],
    resources: ["rootfssnapshots"],
    verbs: ["get", "list", "watch", "create", "patch", "delete"],
  },
];

/** What the gateway may do in the platform's own namespace. */
export const GATEWAY_SYSTEM_NAMESPACE_RULES: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["secrets"], verbs: ["get", "list", "watch"], resourceNames: [AGENT_KEYS_SECRET] },
];

/** Environment of the gateway. The program parses with it; what starts the program renders it. */
export const GatewayEnvironment = z.object({
  /** `local` runs sandboxes on this machine, `kubernetes` in a cluster, `memory` simulates them. */
  ATOLL_BACKEND: z.enum(["local", "kubernetes", "memory"]).default("local"),
  /** `host:port`; an IPv6 address in brackets. Port 0 chooses a free one. */
  ATOLL_LISTEN: z
    .string()
    .regex(/^(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}$/, "Expected host:port")
    .default("127.0.0.1:8080"),
  /** SHA-256 of each API key in hex, split by commas or white space. Empty = no key is asked for. */
  ATOLL_API_KEY_HASHES: listVariable().pipe(
    z.array(z.string().regex(/^[0-9a-fA-F]{64}$/, "Expected a SHA-256 in hex")),
  ),
  /** A file of API keys, split by commas or white space, read again when it changes: nobody comes in without one of them. */
  ATOLL_API_KEYS_FILE: z.string().startsWith("/").optional(),
  /** `true` lets the gateway listen beyond loopback without API keys: whoever reaches it controls every sandbox. */
  ATOLL_INSECURE_NO_AUTH: flagVariable(false),
  /** Names by which a gateway without API keys may be addressed, loopback names apart. */
  ATOLL_ALLOWED_HOSTS: listVariable(),
  /** `host:port` of the Prometheus metrics, which ask for no key; absent = there are none. */
  ATOLL_METRICS_LISTEN: optionalListenVariable(),
  ATOLL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /** Longest wait of a create for Running, in milliseconds. */
  ATOLL_CREATE_WAIT_MS: countVariable(defaults.createWaitMs, 0, MAX_CREATE_WAIT_MS),
  /** Streams open at once, in all and of one sandbox. */
  ATOLL_MAX_STREAMS: countVariable(defaults.maxStreams, 1, 1_000_000),
  ATOLL_MAX_STREAMS_PER_SANDBOX: countVariable(defaults.maxStreamsPerSandbox, 1, 1_000_000),
  /** Living sandboxes at once; in a cluster its quotas decide instead. */
  ATOLL_MAX_SANDBOXES: countVariable(1000, 1, 1_000_000),
  /** How long the record of an ended sandbox stays readable, in seconds; in a cluster the operator decides. */
  ATOLL_RETENTION_SECONDS: countVariable(DEFAULT_RETENTION_MS / 1000, 0, 31_536_000),
  /** Namespace of the sandboxes in a cluster, and of the snapshots in their store everywhere. */
  ATOLL_SANDBOX_NAMESPACE: Namespace.default(SANDBOX_NAMESPACE),
  /** Kubernetes backend: another name of `ATOLL_SANDBOX_NAMESPACE`, by which Isola's own gateway is configured. */
  ISOLA_SANDBOX_NAMESPACE: Namespace.optional(),
  /** Kubernetes backend: namespace in which the operator keeps the agents' keys. */
  ATOLL_SYSTEM_NAMESPACE: Namespace.default(SYSTEM_NAMESPACE),
  /** Kubernetes backend: the installation takes snapshots: a mounter on each node, and a store. */
  ATOLL_SNAPSHOTS: flagVariable(false),
  /** Kubernetes backend: a kubeconfig; absent = the account of the pod. */
  ATOLL_KUBECONFIG: z.string().startsWith("/").optional(),
  /** Local backend: where its state lies. */
  ATOLL_HOME: z.string().startsWith("/").default("/var/lib/atoll"),
  /** Local backend: the runsc to use; absent = the one that the set-up placed. */
  ATOLL_RUNSC: z.string().startsWith("/").optional(),
  /** Local backend: sandboxes kept booted ahead. */
  ATOLL_POOL_SIZE: countVariable(2, 0, 1000),
  /** Local backend: most bytes of output kept for each sandbox. */
  ATOLL_JOURNAL_BUDGET_BYTES: countVariable(2 ** 30, 2 ** 20, Number.MAX_SAFE_INTEGER),
  /** Local backend: where sockets lie; gone after a reboot, as the sandboxes are. Its last part names the control groups. */
  ATOLL_RUN_DIR: z
    .string()
    .regex(/^\/.{1,59}$/, "Expected an absolute path of at most 60 characters")
    .default("/run/atoll"),
  /** Local backend: how gVisor intercepts system calls. */
  ATOLL_PLATFORM: z.enum(["systrap", "kvm", "ptrace"]).default("systrap"),
  /** Local backend: sandboxes that start at the same time; more wait their turn. */
  ATOLL_START_CONCURRENCY: countVariable(4, 1, 256),
  /** Local backend: URL of the store of snapshots; absent = a folder below `ATOLL_HOME`. */
  ATOLL_SNAPSHOT_STORE: StoreUrl.optional(),
  /** Local backend: bytes of all snapshots kept at hand above which unused ones are removed; the store has them still. */
  ATOLL_SNAPSHOT_CACHE_BYTES: countVariable(10 * 2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Local backend: disk of a container that names no limit. */
  ATOLL_DEFAULT_STORAGE_BYTES: countVariable(10 * 2 ** 30, 2 ** 20, Number.MAX_SAFE_INTEGER),
  /** Local backend: free disk that sandboxes and pulls of images leave to the machine. */
  ATOLL_DISK_RESERVE_BYTES: countVariable(2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Local backend: memory on top of a sandbox's limit, for its kernel and agent. */
  ATOLL_OVERHEAD_MEMORY_BYTES: countVariable(128 * 2 ** 20, 32 * 2 ** 20, Number.MAX_SAFE_INTEGER),
  /** Local backend: most tasks of one container. */
  ATOLL_PIDS_LIMIT: countVariable(4096, 16, 4_000_000),
  /** Local backend: image references that stand for others, as `python:3.12-slim=atoll/debian`. */
  ATOLL_IMAGE_ALIASES: listVariable().pipe(z.array(z.string().regex(/^[^=]+=[^=]+$/, "Expected name=image"))),
  /** Local backend: bytes of all images above which unused ones are removed. */
  ATOLL_IMAGE_STORE_BYTES: countVariable(50 * 2 ** 30, 2 ** 20, Number.MAX_SAFE_INTEGER),
  /** Local backend: largest single image, unpacked. */
  ATOLL_IMAGE_MAX_UNPACKED_BYTES: countVariable(20 * 2 ** 30, 2 ** 20, Number.MAX_SAFE_INTEGER),
  /** Local backend: when a tag is asked for again at its registry. */
  ATOLL_IMAGE_PULL_POLICY: z.enum(["IfNotPresent", "Always"]).default("IfNotPresent"),
  /** Local backend: credentials for registries, in the form of Docker's `config.json`. */
  ATOLL_IMAGE_AUTH_FILE: z.string().startsWith("/").optional(),
  /** Local backend: registries reached without TLS, `host` or `host:port`. */
  ATOLL_INSECURE_REGISTRIES: listVariable(),
  /** Local backend: name of its nftables table and beginning of its links' names. */
  ATOLL_NETWORK_NAME: z.string().optional(),
  /** Local backend: addresses of the sandboxes' links. */
  ATOLL_NETWORK_POOL: z.string().optional(),
  ATOLL_NETWORK_POOL_IPV6: z.string().optional(),
});

export type GatewayEnvironment = z.infer<typeof GatewayEnvironment>;

/** Where to listen. Port 0 = any free one. */
export interface Listen {
  readonly hostname: string;
  readonly port: number;
}

/** All faults in one message; unknown variables are somebody else's. */
export function readEnvironment(source: Readonly<Record<string, string | undefined>>): GatewayEnvironment {
  // What is empty counts as absent.
  const other = source["ISOLA_SANDBOX_NAMESPACE"] || undefined;
  const namespace = source["ATOLL_SANDBOX_NAMESPACE"] || other;
  if (other !== undefined && other !== namespace)
    throw new RangeError(
      `Cannot use the environment: ATOLL_SANDBOX_NAMESPACE is ${namespace} but ISOLA_SANDBOX_NAMESPACE, its other name, is ${other}: set one of them`,
    );
  const env = parseEnvironment(GatewayEnvironment, source);
  const { hostname, port } = listenOf(env);
  if (port > 65_535) throw new RangeError(`Cannot use the environment: ATOLL_LISTEN: there is no port ${port}`);
  const hasKeys = env.ATOLL_API_KEY_HASHES.length > 0 || env.ATOLL_API_KEYS_FILE !== undefined;
  const isGuarded = hasKeys || isLoopback(hostname);
  if (!isGuarded && !env.ATOLL_INSECURE_NO_AUTH) {
    throw new RangeError(
      `Cannot listen on ${hostname} without API keys: set ATOLL_API_KEY_HASHES or ATOLL_API_KEYS_FILE, or ATOLL_INSECURE_NO_AUTH=true if whoever reaches it may control every sandbox`,
    );
  }
  return Object.freeze({ ...env, ...(other === undefined ? {} : { ATOLL_SANDBOX_NAMESPACE: other }) });
}

export function listenOf({ ATOLL_LISTEN }: GatewayEnvironment): Listen {
  const at = ATOLL_LISTEN.lastIndexOf(":");
  return { hostname: ATOLL_LISTEN.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(ATOLL_LISTEN.slice(at + 1)) };
}

export function gatewayConfigOf(env: GatewayEnvironment): GatewayConfig {
  const isOpen =
    env.ATOLL_INSECURE_NO_AUTH && env.ATOLL_ALLOWED_HOSTS.length === 0 && !isLoopback(listenOf(env).hostname);
  return {
    ...DEFAULT_GATEWAY_CONFIG,
    createWaitMs: env.ATOLL_CREATE_WAIT_MS,
    maxStreams: env.ATOLL_MAX_STREAMS,
    maxStreamsPerSandbox: env.ATOLL_MAX_STREAMS_PER_SANDBOX,
    apiKeyHashes: env.ATOLL_API_KEY_HASHES,
    allowedHosts: isOpen ? ["*"] : env.ATOLL_ALLOWED_HOSTS,
  };
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127(\.\d{1,3}){3}$/.test(hostname);
}
