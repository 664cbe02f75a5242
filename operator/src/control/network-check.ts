import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import type { KubeCall, KubeClient, ObjectRef } from "#core/kubernetes/client.ts";
import { isAlreadyExists } from "#core/kubernetes/kube-error.ts";
import { NETWORK_TRIAL, STATIC_POLICY } from "#core/kubernetes/names.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { apiVersionOf, NETWORK_POLICIES, PODS } from "#core/kubernetes/resources.ts";
import type { Log } from "#core/log.ts";
import {
  othersSay,
  trialClient,
  trialPolicy,
  trialServer,
  trialVerdict,
  type NetworkTrial,
  type NetworkVerdict,
} from "../domain/network-check.ts";
import type { Reconcile } from "#core/kubernetes/control/reconcile.ts";
import type { EventRecorder } from "./ports.ts";

export interface NetworkCheckOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventRecorder;
  /** Takes the last verdict. */
  readonly report: (verdict: NetworkVerdict) => void;
  readonly trial: NetworkTrial;
  /** Where sandboxes run: who looks there is told. */
  readonly sandboxNamespaces: readonly string[];
}

/** A cluster's network may be changed: the trial is made again after this. */
const AGAIN_MS = 24 * 3_600_000;
const AGAIN_AFTER_FAILURE_MS = 10 * 60_000;
const LOOK_MS = 500;
const TRIAL_MS = 110_000;

/**
 * Tries whether the cluster enforces network policies at all: a policy that nobody enforces is
 * taken without a word, and every sandbox would be open. Two pods that live for seconds, one of
 * which must not reach the other. Says loudly what it finds; sandboxes run all the same, as the
 * administrator may know of another fence. The key is of no meaning.
 */
export function createNetworkCheck(options: NetworkCheckOptions): Reconcile {
  const { clock } = options;
  return async (_key, signal) => {
    const verdict = await tryNetwork(options, signal);
    announce(options, verdict);
    return { requeueAtMs: clock.now() + (verdict === "unknown" ? AGAIN_AFTER_FAILURE_MS : AGAIN_MS) };
  };
}

async function tryNetwork(
  { client, clock, log, trial }: NetworkCheckOptions,
  signal: AbortSignal,
): Promise<NetworkVerdict> {
  const { namespace } = trial;
  const late = (): Error => new Error(`The trial took more than ${TRIAL_MS} ms`);
  try {
    return await withDeadline({ clock, timeoutMs: TRIAL_MS, signal, late }, async (limited) => {
      const call = { signal: limited };
      await clear(client, trial, call);
      await client.create(NETWORK_POLICIES, trialPolicy(trial), call).catch(ignoreExisting);
      await client.create(PODS, trialServer(trial), call);
      const serverIp = await look(client, ref(trial, "server"), addressOf, { clock, call });
      await client.create(PODS, trialClient(trial, serverIp), call);
      const verdict = await look(client, ref(trial, "client"), trialVerdict, { clock, call });
      if (verdict === "unknown")
        log.warn("The trial's client ended without having reached the open port", { namespace });
      if (verdict !== "not-enforced") return verdict;
      const { items } = await client.list(NETWORK_POLICIES, { namespace }, call);
      const policies = othersSay(items);
      if (policies.length === 0) return verdict;
      log.warn("Another network policy may have opened the port that the trial closes", { namespace, policies });
      return "unknown";
    });
  } catch (error) {
    signal.throwIfAborted();
    log.warn("Cannot try whether the cluster enforces network policies", { error });
    return "unknown";
  } finally {
    // Best effort: what stays ends by itself, and the next trial removes it.
    const call = { signal: AbortSignal.timeout(LOOK_MS * 20) };
    await clear(client, trial, call).catch((error: unknown) => log.debug("A trial's objects stay", { error }));
  }
}

/** Asks until the answer is there. */
async function look<T>(
  client: KubeClient,
  pod: ObjectRef,
  read: (pod: Pod) => T | undefined,
  { clock, call }: { readonly clock: Clock; readonly call: KubeCall },
): Promise<T> {
  for (;;) {
    const found = read(await client.get(PODS, pod, call));
    if (found !== undefined) return found;
    await clock.sleep(LOOK_MS, call.signal);
  }
}

function addressOf({ status }: Pod): string | undefined {
  const isReady = status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
  return isReady === true && status?.podIP !== undefined && status.podIP !== "" ? status.podIP : undefined;
}

async function clear(client: KubeClient, trial: NetworkTrial, call: KubeCall): Promise<void> {
  const now = { gracePeriodSeconds: 0 };
  await Promise.all([
    client.remove(PODS, ref(trial, "client"), call, now),
    client.remove(PODS, ref(trial, "server"), call, now),
    client.remove(NETWORK_POLICIES, ref(trial, "policy"), call),
  ]);
}

function ref({ namespace }: NetworkTrial, part: "policy" | "server" | "client"): ObjectRef {
  return { namespace, name: NETWORK_TRIAL[part] };
}

function ignoreExisting(error: unknown): void {
  if (!isAlreadyExists(error)) throw error;
}

function announce({ report, log, events, sandboxNamespaces }: NetworkCheckOptions, verdict: NetworkVerdict): void {
  report(verdict);
  if (verdict === "enforced") return log.info("The cluster enforces network policies");
  if (verdict === "unknown") return;
  const note = "The cluster's network does not enforce network policies: sandboxes reach everything their nodes reach.";
  log.error(note);
  for (const namespace of sandboxNamespaces) {
    const regarding = {
      apiVersion: apiVersionOf(NETWORK_POLICIES),
      kind: NETWORK_POLICIES.kind,
      namespace,
      name: STATIC_POLICY.defaultDeny,
    };
    events.record(regarding, { type: "Warning", reason: "NetworkPolicyNotEnforced", action: "TryNetwork", note });
  }
}
