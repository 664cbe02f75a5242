import { generateMasterKey } from "#core/agent-proof.ts";
import { generateAgentKeys } from "#core/agent-token.ts";
import { backoffMs } from "#core/backoff.ts";
import type { Clock } from "#core/clock.ts";
import { readAgentKeys, type AgentKeySet } from "#core/kubernetes/agent-keys.ts";
import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import { AGENT_KEYS_SECRET } from "#core/kubernetes/names.ts";
import { SECRETS } from "#core/kubernetes/resources.ts";
import type { Secret } from "#core/kubernetes/secret.ts";
import type { Log } from "#core/log.ts";
import { TerminalError } from "#core/kubernetes/control/reconcile.ts";

const FIELD_MANAGER = "atoll-operator";
const RETRY = { firstMs: 200, mostMs: 5000 };

/**
 * The keys of gateways and agents. The installation makes their Secret empty, and the first
 * operator fills it; a fast second one fails with a conflict and reads what the first has written.
 * Keys that are there are never replaced: agents that run know them.
 */
export async function ensureAgentKeys(client: KubeClient, namespace: string, call: KubeCall): Promise<AgentKeySet> {
  const secret = await client.get(SECRETS, { namespace, name: AGENT_KEYS_SECRET }, call);
  const keys = readAgentKeys(secret);
  if (keys !== undefined) return keys;
  if (Object.values(secret.data ?? {}).some((value) => value !== "")) {
    const where = `${namespace}/${AGENT_KEYS_SECRET}`;
    throw new TerminalError(`Cannot read the agents' keys in Secret ${where}: empty it to have new ones made`);
  }
  const filled = readAgentKeys(await fill(client, secret, call));
  if (filled === undefined) throw new TypeError("Cannot read the agents' keys that were just written");
  return filled;
}

/** The same, however long it takes until they are there; undefined when the signal fired before. */
export async function waitForAgentKeys(
  { client, clock, log, random }: { client: KubeClient; clock: Clock; log: Log; random: () => number },
  namespace: string,
  signal: AbortSignal,
): Promise<AgentKeySet | undefined> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      return await ensureAgentKeys(client, namespace, { signal });
    } catch (error) {
      if (signal.aborted) break;
      log.warn("Waits for the agents' keys", { namespace, name: AGENT_KEYS_SECRET, error });
      await clock.sleep(backoffMs(attempt, RETRY, random), signal).catch(() => undefined);
    }
  }
  return undefined;
}

async function fill(client: KubeClient, { metadata }: Secret, call: KubeCall): Promise<Secret> {
  const { privateKey, publicKey } = await generateAgentKeys();
  const { name, namespace, uid, resourceVersion } = metadata;
  const stringData = {
    gatewayPrivateKey: privateKey,
    gatewayPublicKey: publicKey,
    agentMasterKey: generateMasterKey(),
  };
  const data = Object.fromEntries(Object.entries(stringData).map(([key, value]) => [key, btoa(value)]));
  // With the version that was read: whoever is faster has filled it.
  const object = { metadata: { name, namespace, uid, resourceVersion } as Secret["metadata"], data };
  return client.apply(SECRETS, object, call, { fieldManager: FIELD_MANAGER });
}
