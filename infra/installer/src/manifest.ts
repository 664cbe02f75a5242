import * as z from "zod";
import { countVariable, listenVariable } from "#api/environment.ts";
import { RUNTIME_HANDLER } from "#core/kubernetes/names.ts";
import type { PolicyRule } from "#core/kubernetes/policy-rule.ts";

/** Where the installer answers the kubelet. */
export const INSTALLER_PORTS = { health: 8081 } as const;
export const INSTALLER_PATHS = { live: "/healthz", ready: "/readyz" } as const;

/**
 * What its pod needs of the node: privileged, in the node's process namespace. No mount of the
 * node's file system: it would keep each mount of the node from going away.
 */
export const INSTALLER_POD = { hostPid: true, privileged: true } as const;

const Path = z.string().regex(/^\/[^\s"'\\]*$/, "Expected an absolute path without spaces and quotes");

/** Environment of the installer. The program parses with it; what starts the program renders it. */
export const InstallerEnvironment = z.object({
  /** Name of the node it runs on. */
  ATOLL_NODE_NAME: z.string().min(1).max(253),
  /** `install` and keep so; `uninstall` once and then idle, so that a DaemonSet can take it from all nodes. */
  ATOLL_INSTALLER_MODE: z.enum(["install", "uninstall"]).default("install"),
  /** The node's file system: that of its first process. */
  ATOLL_HOST_ROOT: Path.default("/proc/1/root"),
  /** Folder on the node for gVisor's programs. Programs must be allowed to run from it. */
  ATOLL_GVISOR_DIR: Path.default("/opt/atoll/gvisor"),
  /** Name under which containerd knows gVisor: the handler of the RuntimeClass. */
  ATOLL_RUNTIME_HANDLER: z
    .string()
    .regex(/^[a-z0-9][-a-z0-9]{0,62}$/, "Expected a handler's name: small letters, digits and dashes")
    .default(RUNTIME_HANDLER),
  /** containerd's configuration on the node; absent = the one it was started with. */
  ATOLL_CONTAINERD_CONFIG: Path.optional(),
  /** containerd's socket on the node; absent = the one that its configuration names. */
  ATOLL_CONTAINERD_SOCKET: Path.optional(),
  /** `auto` restarts it through systemd, as a unit of its own or of k3s or RKE2. `signal` asks the process to end, where something else starts it again. */
  ATOLL_CONTAINERD_RESTART: z.enum(["auto", "signal"]).default("auto"),
  /** How control groups are made; `auto` = as containerd and kubelet are set. */
  ATOLL_CGROUP_DRIVER: z.enum(["auto", "systemd", "cgroupfs"]).default("auto"),
  /** How often it looks whether all is still in place, in seconds. */
  ATOLL_CHECK_SECONDS: countVariable(300, 5, 86_400),
  /** Longest wait for containerd after a restart, in seconds. */
  ATOLL_RESTART_TIMEOUT_SECONDS: countVariable(120, 1, 3600),
  /** Longest wait for the node's pod network before gVisor is tried, in seconds. */
  ATOLL_NETWORK_TIMEOUT_SECONDS: countVariable(300, 1, 3600),
  /** `host:port` of `/healthz` and `/readyz`. */
  ATOLL_HEALTH_LISTEN: listenVariable(`0.0.0.0:${INSTALLER_PORTS.health}`),
  ATOLL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
});

export type InstallerEnvironment = z.infer<typeof InstallerEnvironment>;

/** What the installer may do in the cluster: label its node. Which node, and what of it, says an admission policy. */
export const INSTALLER_CLUSTER_RULES: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["nodes"], verbs: ["patch"] },
];

/** The namespace of events about things that have none, and what the installer may do there: say why a node has no gVisor. */
export const INSTALLER_EVENT_NAMESPACE = "default";
export const INSTALLER_EVENT_RULES: readonly PolicyRule[] = [
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"] },
];
