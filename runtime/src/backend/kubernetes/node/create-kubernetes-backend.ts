import type { Clock } from "#core/clock.ts";
import { readAgentKeys, type AgentKeySet } from "#core/kubernetes/agent-keys.ts";
import type { KubeFetch, Resource } from "#core/kubernetes/client.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import type { Informer, InformerOptions } from "#core/kubernetes/informer-port.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { AGENT_KEYS_SECRET, AGENT_PORT, LABEL } from "#core/kubernetes/names.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { PODS, ROOTFS_SNAPSHOTS, SANDBOXES, SECRETS } from "#core/kubernetes/resources.ts";
import type { Secret } from "#core/kubernetes/secret.ts";
import type { Log } from "#core/log.ts";
import { createAgentFetch } from "#runtime/agent/node/agent-fetch.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { Agents } from "../agents.ts";
import { KubernetesBackend } from "../backend.ts";
import { BY_SNAPSHOT_NAME } from "../snapshot/snapshots.ts";
import { snapshotNameOf } from "../snapshot/to-snapshot.ts";

export interface KubernetesConfig {
  /** Where the sandboxes are. */
  readonly sandboxNamespace: string;
  /** Where the operator keeps the agents' keys. */
  readonly systemNamespace: string;
  /** Whether the installation takes snapshots. @default false */
  readonly hasSnapshots?: boolean;
}

export interface KubernetesDeps {
  readonly fetch: KubeFetch;
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** The kubernetes backend over a way to the API server. It is there at once, and ready when it has read the cluster. */
export function createKubernetesBackend(config: KubernetesConfig, deps: KubernetesDeps): SandboxBackend {
  const { clock, log, random } = deps;
  const client = createKubeClient(deps.fetch, { clock, random });
  const life = new AbortController();
  const follow = <T extends KubeObject>(
    resource: Resource<T>,
    options: Pick<InformerOptions<T>, "query" | "trim" | "indexes">,
  ): Informer<T> => createInformer(client, resource, { clock, log, random, ...options });

  const sandboxes = follow(SANDBOXES, { query: { namespace: config.sandboxNamespace }, trim: withoutManagers });
  const pods = follow(PODS, {
    query: { namespace: config.sandboxNamespace, labelSelector: `${LABEL.sandbox}=true` },
    trim: trimPod,
  });
  const records = config.hasSnapshots
    ? follow(ROOTFS_SNAPSHOTS, {
        query: { namespace: config.sandboxNamespace },
        trim: withoutManagers,
        indexes: { [BY_SNAPSHOT_NAME]: (record) => [snapshotNameOf(record)] },
      })
    : undefined;
  const secrets = follow(SECRETS, {
    query: { namespace: config.systemNamespace, fieldSelector: `metadata.name=${AGENT_KEYS_SECRET}` },
  });
  const agents = new Agents({
    clock,
    keys: keysOf(secrets),
    connect: (ip, token) => createAgentFetch({ address: { host: ip, port: AGENT_PORT }, token }),
  });
  const copies = [sandboxes, pods, secrets, ...(records === undefined ? [] : [records])];
  const following = copies.map((informer) => informer.run(life.signal));
  return new KubernetesBackend({
    client,
    sandboxes,
    pods,
    ...(records === undefined ? {} : { records }),
    agents,
    clock,
    log,
    random,
    namespace: config.sandboxNamespace,
    stop: async () => {
      life.abort(new Error("the gateway stops"));
      await Promise.all(following);
    },
  });
}

/** The same object for the same keys, however often they are read. */
function keysOf(secrets: Informer<Secret>): () => AgentKeySet | undefined {
  let secret: Secret | undefined;
  let keys: AgentKeySet | undefined;
  return () => {
    const [now] = secrets.values();
    if (now === secret) return keys;
    secret = now;
    const read = now === undefined ? undefined : readAgentKeys(now);
    if (JSON.stringify(read) !== JSON.stringify(keys)) keys = read;
    return keys;
  };
}

/** Without the record of who wrote what, which is longer than the rest. */
function withoutManagers<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T["metadata"] & { managedFields?: unknown };
  return { ...object, metadata };
}

/** What the gateway asks a pod for. */
function trimPod({ metadata, status = {} }: Pod): Pod {
  const { name, namespace, uid, resourceVersion, deletionTimestamp, ownerReferences } = metadata;
  const { phase, reason, message, podIP, containerStatuses } = status;
  const conditions = status.conditions?.filter(({ type }) => type === "DisruptionTarget") ?? [];
  return {
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(ownerReferences === undefined ? {} : { ownerReferences }),
    },
    spec: { containers: [] },
    status: {
      ...(phase === undefined ? {} : { phase }),
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      ...(conditions.length === 0 ? {} : { conditions }),
      ...(podIP === undefined ? {} : { podIP }),
      ...(containerStatuses === undefined ? {} : { containerStatuses }),
    },
  };
}
