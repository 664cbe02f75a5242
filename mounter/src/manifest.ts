import * as z from "zod";
import { countVariable, flagVariable, listVariable, parseEnvironment, type Variables } from "#api/environment.ts";
import { RESTORE_FOLDER, RESTORE_PORT, SANDBOX_NAMESPACE, SYSTEM_NAMESPACE } from "#core/kubernetes/names.ts";
import { parseStoreUrl } from "./storage/store-url.ts";

export { MOUNTER_SANDBOX_NAMESPACE_RULES, MOUNTER_SYSTEM_NAMESPACE_RULES } from "./rules.ts";
export { CREDENTIAL_NAMES } from "./storage/store-credentials.ts";
export { parseStoreUrl, type StoreLocation } from "./storage/store-url.ts";

/** What the mounter of a node answers beside restores and stops; on the loopback address. */
export const MOUNTER_PATHS = { live: "/healthz", ready: "/readyz", metrics: "/metrics" } as const;

const Path = z.string().regex(/^\//, "Expected an absolute path");
const Secret = z.string().min(1).optional();

/** URL of a store of snapshots, without credentials. */
export const StoreUrl = z.string().superRefine((text, { addIssue }) => {
  try {
    parseStoreUrl(text);
  } catch (error) {
    addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
  }
});

/** Environment of the mounter. The program parses with it; what starts the program renders it. */
export const MounterEnvironment = z.object({
  ATOLL_SNAPSHOT_STORE: StoreUrl,
  /** Folder of a mounted secret; wins over the single values. Without either, the process's own identity. */
  ATOLL_SNAPSHOT_CREDENTIALS_DIR: Path.optional(),
  /** Ask the store as nobody: emulators. */
  ATOLL_SNAPSHOT_ANONYMOUS: flagVariable(false),
  AWS_ACCESS_KEY_ID: Secret,
  AWS_SECRET_ACCESS_KEY: Secret,
  AWS_SESSION_TOKEN: Secret,
  AZURE_STORAGE_KEY: Secret,
  /** JSON text of a service account's key. */
  GOOGLE_CREDENTIALS: Secret,
});

export type MounterEnvironment = z.infer<typeof MounterEnvironment>;

/** The mounter's environment, or one error that names all its faults. */
export function readEnvironment(variables: Variables): Readonly<MounterEnvironment> {
  return parseEnvironment(MounterEnvironment, variables);
}

/** Environment of the mounter as the child of a gateway on one machine. The gateway renders it. */
export const LocalMounterEnvironment = MounterEnvironment.extend({
  ATOLL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /** The socket on which it answers; its folder is open to nobody else. */
  ATOLL_MOUNTER_SOCKET: Path,
  /** Where its cache and what is on its way lie. */
  ATOLL_MOUNTER_DIR: Path,
  /** Most bytes of the cache. */
  ATOLL_MOUNTER_CACHE_BYTES: countVariable(10 * 2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Most bytes that are on their way at once. */
  ATOLL_MOUNTER_STAGING_BYTES: countVariable(50 * 2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Free disk that it leaves in any case. */
  ATOLL_DISK_RESERVE_BYTES: countVariable(2 ** 30, 0, Number.MAX_SAFE_INTEGER),
});

export type LocalMounterEnvironment = z.infer<typeof LocalMounterEnvironment>;

const Name = z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, "Expected the name of an object");
const HostFolder = z.string().regex(/^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)+$/, "Expected an absolute path");

/** Environment of the mounter of one node of a cluster. What starts the program renders it. */
export const NodeMounterEnvironment = MounterEnvironment.extend({
  ATOLL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /** Name of the node it runs on. */
  ATOLL_NODE_NAME: z.string().min(1).max(253),
  /** Name of this pod, for the lease and for events. */
  ATOLL_POD_NAME: Name,
  /** Where the lease of the collector is. */
  ATOLL_SYSTEM_NAMESPACE: Name.default(SYSTEM_NAMESPACE),
  /** Namespaces whose snapshots and sandboxes it works for. */
  ATOLL_SANDBOX_NAMESPACES: listVariable([SANDBOX_NAMESPACE]).pipe(
    z.array(Name).min(1, "Expected at least one namespace"),
  ),
  /** The node's runsc. */
  ATOLL_RUNSC: HostFolder.default("/opt/atoll/gvisor/current/runsc"),
  /** Where the node's container engine keeps the state of gVisor's containers. */
  ATOLL_RUNSC_ROOT: HostFolder.default("/run/containerd/runsc/k8s.io"),
  /** Where it answers kubelet, on the loopback address; the operator's own setting. */
  ATOLL_RESTORE_PORT: countVariable(RESTORE_PORT, 1, 65_535),
  /** Folder of the archives that sandboxes start from; the operator's own setting, and the same path for both. */
  ATOLL_RESTORE_FOLDER: HostFolder.default(RESTORE_FOLDER),
  /** Where its cache of the store and what is dumped lie. */
  ATOLL_MOUNTER_DIR: HostFolder.default("/var/lib/atoll/mounter"),
  /** Most bytes of the cache, and of archives that are kept though nobody starts from them now. */
  ATOLL_MOUNTER_CACHE_BYTES: countVariable(10 * 2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Most bytes of one snapshot unpacked, of all dumps at once, and of all archives in use. */
  ATOLL_MOUNTER_STAGING_BYTES: countVariable(50 * 2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Free disk that it leaves in any case. */
  ATOLL_DISK_RESERVE_BYTES: countVariable(2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Snapshots that it takes at once; as many restores are unpacked. */
  ATOLL_CONCURRENCY: countVariable(4, 1, 256),
});

export type NodeMounterEnvironment = z.infer<typeof NodeMounterEnvironment>;

/** The environment of a node's mounter, or one error that names all its faults. */
export function readNodeEnvironment(variables: Variables): Readonly<NodeMounterEnvironment> {
  return parseEnvironment(NodeMounterEnvironment, variables);
}
