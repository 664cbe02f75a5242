import type { SandboxResource } from "#api/crd/sandbox.ts";
import {
  GVISOR_ANNOTATION,
  restorePath,
  restoreProbePath,
  stopHookPath,
  type RestoreOwner,
} from "#core/kubernetes/names.ts";
import type { Container, Probe } from "#core/kubernetes/pod.ts";
import type { SnapshotSettings } from "../sandbox/settings.ts";
import { restoreSources } from "./sources.ts";

const LOOPBACK = "127.0.0.1";
/** A mounter that is away for however long is no fault of the agent's. */
const MOST_FAILURES = 1_000_000;

function ownerOf({ metadata }: SandboxResource): RestoreOwner {
  return { namespace: metadata.namespace ?? "", sandboxUid: metadata.uid ?? "" };
}

/** What the sandbox's kernel fills the roots of containers with that start from snapshots. */
export function restoreAnnotations(
  sandbox: SandboxResource,
  { restoreFolder }: SnapshotSettings,
): Record<string, string> {
  const owner = ownerOf(sandbox);
  return Object.fromEntries(
    restoreSources(sandbox.spec).map(({ containerName }) => [
      `${GVISOR_ANNOTATION.rootfsTar}${containerName}`,
      restorePath(restoreFolder, owner, containerName),
    ]),
  );
}

/**
 * The agent as it holds the others back: kubelet starts them when the node's mounter has answered,
 * and that it does when each archive is in place. It goes on beside them and ends after them.
 */
export function holdingAgent(agent: Container, sandbox: SandboxResource, { restorePort }: SnapshotSettings): Container {
  const startupProbe: Probe = {
    httpGet: { host: LOOPBACK, port: restorePort, path: restoreProbePath(ownerOf(sandbox)) },
    periodSeconds: 1,
    timeoutSeconds: sandbox.spec.startupTimeoutSeconds,
    failureThreshold: MOST_FAILURES,
  };
  return { ...agent, restartPolicy: "Always", startupProbe };
}

/** The container as kubelet stops it: not before the node's mounter knows that its snapshot is over. A hook of the user's own stays. */
export function savedContainer(
  container: Container,
  sandbox: SandboxResource,
  { restorePort }: SnapshotSettings,
): Container {
  if (container.lifecycle?.preStop !== undefined) return container;
  const preStop = { httpGet: { host: LOOPBACK, port: restorePort, path: stopHookPath(ownerOf(sandbox)) } };
  return { ...container, lifecycle: { ...container.lifecycle, preStop } };
}
