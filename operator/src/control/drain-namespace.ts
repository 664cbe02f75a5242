import type { Clock } from "#core/clock.ts";
import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import { DRAIN_FINALIZER, DRAIN_GUARD } from "#core/kubernetes/drain-guard.ts";
import { isNotFound } from "#core/kubernetes/kube-error.ts";
import { listAll } from "#core/kubernetes/list-all.ts";
import { refOfKey } from "#core/kubernetes/object-key.ts";
import { CONFIG_MAPS, SANDBOXES } from "#core/kubernetes/resources.ts";
import type { ConfigMap } from "#core/kubernetes/secret.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";

/** Time between two looks at what is left of a namespace's sandboxes. */
const LOOK_AGAIN_MS = 1000;

/** Which objects are drain guards: of all config maps an operator may read only these. */
export const DRAIN_GUARD_QUERY = { fieldSelector: `metadata.name=${DRAIN_GUARD}` };

/**
 * Reconciles drain guards: when one is being deleted, all sandboxes of its namespace are, and the
 * guard goes when none is left. A sandbox that somebody creates meanwhile is ended as well.
 */
export function createDrainNamespace({
  client,
  clock,
}: {
  readonly client: KubeClient;
  readonly clock: Clock;
}): Reconcile {
  return async (key, signal) => {
    const ref = refOfKey(key);
    const guard = await client.get(CONFIG_MAPS, ref, { signal }).catch(absent);
    if (guard?.metadata.deletionTimestamp === undefined || !isHeld(guard)) return {};
    if (await endSandboxes(client, ref.namespace ?? "", { signal }))
      return { requeueAtMs: clock.now() + LOOK_AGAIN_MS };
    await release(client, guard, { signal });
    return {};
  };
}

/** Asks for the end of each sandbox; false = there is none. */
async function endSandboxes(client: KubeClient, namespace: string, call: KubeCall): Promise<boolean> {
  const { items } = await listAll(client, SANDBOXES, call, { query: { namespace } });
  for (const { metadata } of items) {
    if (metadata.deletionTimestamp !== undefined) continue;
    await client.remove(SANDBOXES, { namespace, name: metadata.name }, call);
  }
  return items.length > 0;
}

async function release(client: KubeClient, { metadata }: ConfigMap, call: KubeCall): Promise<void> {
  const finalizers = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== DRAIN_FINALIZER);
  const patch = { metadata: { resourceVersion: metadata.resourceVersion, finalizers } };
  await client.patch(CONFIG_MAPS, metadata, patch, call).catch(absent);
}

function isHeld({ metadata }: ConfigMap): boolean {
  return metadata.finalizers?.includes(DRAIN_FINALIZER) ?? false;
}

function absent(error: unknown): undefined {
  if (isNotFound(error)) return undefined;
  throw error;
}
