import type { SandboxSettings } from "./domain/sandbox/settings.ts";
import type { OperatorEnvironment } from "./manifest.ts";

const MIB = 1 << 20;
/** The agent's disk holds its journal and little else. */
const DISK_BESIDE_JOURNAL_BYTES = 64 * MIB;

/** What the environment says about sandboxes; `version` is the program's own, as the agent's image is of the same build. */
export function sandboxSettings(
  env: OperatorEnvironment,
  { version, gatewayPublicKey }: { readonly version: string; readonly gatewayPublicKey: string },
): SandboxSettings {
  const diskBytes = env.ATOLL_SIDECAR_JOURNAL_BYTES + DISK_BESIDE_JOURNAL_BYTES;
  return {
    agent: {
      image: env.ATOLL_SIDECAR_IMAGE,
      imagePullPolicy: env.ATOLL_SIDECAR_IMAGE_PULL_POLICY,
      version,
      gatewayPublicKey,
      requests: { cpu: env.ATOLL_SIDECAR_CPU_REQUEST, memory: env.ATOLL_SIDECAR_MEMORY_REQUEST },
      limits: {
        cpu: env.ATOLL_SIDECAR_CPU_LIMIT,
        memory: env.ATOLL_SIDECAR_MEMORY_LIMIT,
        "ephemeral-storage": `${Math.ceil(diskBytes / MIB)}Mi`,
      },
      journalBudgetBytes: env.ATOLL_SIDECAR_JOURNAL_BYTES,
    },
    runtimeClass: env.ATOLL_RUNTIME_CLASS,
    ...(env.ATOLL_PRIORITY_CLASS === undefined ? {} : { priorityClass: env.ATOLL_PRIORITY_CLASS }),
    imagePullSecrets: env.ATOLL_IMAGE_PULL_SECRETS,
    retention: {
      timeoutMs: env.ATOLL_TIMEOUT_RETENTION_SECONDS * 1000,
      startupFailureMs: env.ATOLL_FAILED_RETENTION_SECONDS * 1000,
      finishedMs: env.ATOLL_FINISHED_RETENTION_SECONDS * 1000,
    },
    provisionalMs: env.ATOLL_PROVISIONAL_SECONDS * 1000,
    ...(env.ATOLL_SNAPSHOTS
      ? { snapshots: { restorePort: env.ATOLL_RESTORE_PORT, restoreFolder: env.ATOLL_RESTORE_FOLDER } }
      : {}),
  };
}
