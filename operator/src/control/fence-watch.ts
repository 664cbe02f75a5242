import { backoffMs } from "#core/backoff.ts";
import { fenceNames } from "#core/kubernetes/admission/fence.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import type { AdmissionPolicyBinding } from "#core/kubernetes/cluster-objects.ts";
import type { Informer } from "#core/kubernetes/informer-port.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS } from "#core/kubernetes/resources.ts";
import type { Log } from "#core/log.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";

/** Whether the fence around sandbox namespaces stands: no pod is created before it does. */
export interface FenceWatch {
  /** Why no pod may be created in this namespace; undefined = they may. */
  hold(namespace: string): string | undefined;
  /** Looks at the fence of one namespace: the key is its name. */
  readonly reconcile: Reconcile;
  /** Called when a namespace's fence went up or down; the result ends it. */
  onChange(listener: (namespace: string) => void): () => void;
}

export interface FenceWatchOptions {
  /** Trials write nothing, so a replica that does not lead makes them too. */
  readonly client: KubeClient;
  readonly bindings: Informer<AdmissionPolicyBinding>;
  /** Begins the names of the fence's policies. */
  readonly prefix: string;
  readonly clock: Clock;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly log: Log;
}

/** The API server takes a moment to enforce a policy that is new; one that is gone may stay so for days. */
const LOOK_AGAIN = { firstMs: 500, mostMs: 10_000 };
/** Now and then the fence is tried again, though no binding changed: its policy may have. */
const TRY_MS = 60_000;
const HOLD = "The cluster's admission policy for sandboxes is not in force: no pod is created without it.";

/**
 * Trusts no name alone: a pod that no sandbox may be is sent as a trial, and the fence stands in a
 * namespace where the API server refuses it in the fence's name. No answer says nothing about the
 * fence: it stays what it was.
 */
export function createFenceWatch({ client, bindings, prefix, clock, random, log }: FenceWatchOptions): FenceWatch {
  const names = fenceNames(prefix);
  /** What was found last, by namespace. */
  const found = new Map<string, boolean>();
  /** Trials in a row that were let through, by namespace. */
  const passed = new Map<string, number>();
  const listeners = new Set<(namespace: string) => void>();

  const note = (namespace: string, isUp: boolean): void => {
    if (found.get(namespace) === isUp) return;
    found.set(namespace, isUp);
    if (isUp) log.info("The fence of the namespace stands", { namespace });
    else
      log.error("The fence of the namespace is down: no pod is created", { namespace, policies: Object.values(names) });
    for (const listener of listeners) listener(namespace);
  };

  return {
    hold: (namespace) => (found.get(namespace) === true ? undefined : HOLD),
    async reconcile(namespace, signal) {
      await bindings.synced(signal);
      const isBound = Object.values(names).every((name) => isInForce(bindings.get(name), namespace));
      const isUp = isBound && (await isRefused(client, { namespace, by: names.pods }, { signal }));
      note(namespace, isUp);
      if (isUp || !isBound) {
        passed.delete(namespace);
        return { requeueAtMs: clock.now() + TRY_MS };
      }
      const times = passed.get(namespace) ?? 0;
      passed.set(namespace, times + 1);
      return { requeueAtMs: clock.now() + backoffMs(times, LOOK_AGAIN, random) };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function isInForce(binding: AdmissionPolicyBinding | undefined, namespace: string): boolean {
  if (binding === undefined || !binding.spec.validationActions.includes("Deny")) return false;
  const rules = binding.spec.matchResources?.namespaceSelector?.matchExpressions ?? [];
  return rules.every(({ key, operator, values }) => {
    if (key !== "kubernetes.io/metadata.name") return false;
    return values.includes(namespace) === (operator === "In");
  });
}

async function isRefused(
  client: KubeClient,
  { namespace, by }: { readonly namespace: string; readonly by: string },
  call: KubeCall,
): Promise<boolean> {
  const trial: Pod = {
    metadata: { name: "atoll-fence-trial", namespace },
    spec: { hostNetwork: true, automountServiceAccountToken: false, containers: [{ name: "trial", image: "trial" }] },
  };
  try {
    await client.create(PODS, trial, call, { dryRun: true });
    return false;
  } catch (error) {
    if (!(error instanceof KubeError) || error.status === 0 || error.status >= 500) throw error;
    return error.message.includes(by);
  }
}
