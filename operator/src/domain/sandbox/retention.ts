import type { SandboxReason } from "#core/sandbox.ts";
import type { RetentionSettings } from "./settings.ts";

/** Ends that come before a sandbox ever ran. */
const STARTUP_FAILURES: ReadonlySet<SandboxReason> = new Set<SandboxReason>([
  "StartupTimeoutExceeded",
  "PodCreationFailed",
  "NetworkPolicyFailed",
  "RootfsRestoreConfigurationError",
  "SnapshotDamaged",
  "ImageNotFound",
  "ImagePullDenied",
  "ImagePullFailed",
  "CommandNotFound",
]);

/** How long the record of a sandbox that ended so stays readable. */
export function retentionMs(reason: SandboxReason, settings: RetentionSettings): number {
  if (reason === "Timeout") return settings.timeoutMs;
  return STARTUP_FAILURES.has(reason) ? settings.startupFailureMs : settings.finishedMs;
}
