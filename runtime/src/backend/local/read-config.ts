import type { GatewayEnvironment } from "#runtime/manifest.ts";
import type { LocalConfig } from "./config.ts";
import { DEFAULT_NET } from "./network.ts";

/** Variables that the tools which pull images need. */
const TOOL_VARIABLES = [
  "PATH",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "SSL_CERT_FILE",
];
/** What clients of stores read by themselves: credentials, identities, proxies, certificates. */
const STORE_VARIABLES =
  /^(AWS_|AZURE_|GOOGLE_|ATOLL_SNAPSHOT_(CREDENTIALS_DIR|ANONYMOUS)$|ATOLL_LOG_LEVEL$|(https?|no)_proxy$|SSL_CERT_|NODE_EXTRA_CA_CERTS$|HOME$|PATH$)/i;
/** Where system programs lie; a service's own PATH often lacks some. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The local backend's settings out of the gateway's; `source` is the whole environment, for the tools it runs. */
export function readLocalConfig(
  env: GatewayEnvironment,
  source: Readonly<Record<string, string | undefined>>,
): LocalConfig {
  const toolEnv = Object.fromEntries(TOOL_VARIABLES.flatMap((name) => (source[name] ? [[name, source[name]]] : [])));
  return {
    homeDir: env.ATOLL_HOME,
    runDir: env.ATOLL_RUN_DIR,
    runscPath: env.ATOLL_RUNSC ?? `${env.ATOLL_HOME}/bin/runsc`,
    platform: env.ATOLL_PLATFORM,
    poolSize: env.ATOLL_POOL_SIZE,
    maxSandboxes: env.ATOLL_MAX_SANDBOXES,
    startConcurrency: env.ATOLL_START_CONCURRENCY,
    defaultStorageBytes: env.ATOLL_DEFAULT_STORAGE_BYTES,
    diskReserveBytes: env.ATOLL_DISK_RESERVE_BYTES,
    journalBudgetBytes: env.ATOLL_JOURNAL_BUDGET_BYTES,
    overheadMemoryBytes: env.ATOLL_OVERHEAD_MEMORY_BYTES,
    pidsLimit: env.ATOLL_PIDS_LIMIT,
    retentionMs: env.ATOLL_RETENTION_SECONDS * 1000,
    imageAliases: Object.fromEntries(env.ATOLL_IMAGE_ALIASES.map((pair) => pair.split("="))),
    images: {
      maxBytes: env.ATOLL_IMAGE_STORE_BYTES,
      maxUnpackedBytes: env.ATOLL_IMAGE_MAX_UNPACKED_BYTES,
      reserveBytes: env.ATOLL_DISK_RESERVE_BYTES,
      pullPolicy: env.ATOLL_IMAGE_PULL_POLICY,
      ...(env.ATOLL_IMAGE_AUTH_FILE === undefined ? {} : { authFile: env.ATOLL_IMAGE_AUTH_FILE }),
      insecureRegistries: env.ATOLL_INSECURE_REGISTRIES,
      env: { ...toolEnv, PATH: `${toolEnv["PATH"] ?? ""}:${SYSTEM_PATH}`.replace(/^:/, "") },
    },
    snapshots: {
      store:
        env.ATOLL_SNAPSHOT_STORE ??
        `file://${encodeURI(env.ATOLL_HOME).replace(/[?#]/g, encodeURIComponent)}/snapshots`,
      namespace: env.ATOLL_SANDBOX_NAMESPACE,
      cacheBytes: env.ATOLL_SNAPSHOT_CACHE_BYTES,
      mostTarBytes: env.ATOLL_IMAGE_MAX_UNPACKED_BYTES,
      env: Object.fromEntries(
        Object.entries(source).flatMap(([name, value]) => (value && STORE_VARIABLES.test(name) ? [[name, value]] : [])),
      ),
    },
    net: {
      ...DEFAULT_NET,
      name: env.ATOLL_NETWORK_NAME ?? DEFAULT_NET.name,
      pool4: env.ATOLL_NETWORK_POOL ?? DEFAULT_NET.pool4,
      pool6: env.ATOLL_NETWORK_POOL_IPV6 ?? DEFAULT_NET.pool6,
    },
  };
}
