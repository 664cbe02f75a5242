import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";
import { rootfsSnapshotCrd } from "#api/crd/rootfs-snapshot-crd.ts";
import type { FenceConfig, RestoreConfig } from "#core/kubernetes/admission/fence-config.ts";
import { fences } from "#core/kubernetes/admission/fence.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { AGENT_KEYS_SECRET, RUNTIME_CLASS } from "#core/kubernetes/names.ts";
import {
  CRDS,
  SANDBOXES,
  SECRETS,
  VALIDATING_ADMISSION_POLICIES,
  VALIDATING_ADMISSION_POLICY_BINDINGS,
} from "#core/kubernetes/resources.ts";
import { AGENT_CAPABILITIES, CONTAINER_CAPABILITIES, SIBLING_MARKS } from "#sidecar/manifest.ts";
import { call, createNamespace, findCluster, type Cluster } from "../cluster/cluster.ts";
import { pushAgentImage } from "./cluster-images.ts";
import { createOperatorProcess } from "./operator-process.ts";
import { until } from "./until.ts";

/** A working operator of the present sources on this machine, with namespaces and a fence of its own. */
export interface HostOperator {
  readonly cluster: Cluster;
  readonly client: KubeClient;
  readonly sandboxNamespace: string;
  readonly systemNamespace: string;
  log(): string;
  /** Ends the process; sandboxes stay as they are. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again. */
  start(): Promise<void>;
  /** Ends it with all that it made. */
  dispose(): Promise<void>;
}

const GONE_TIMEOUT_MS = 60_000;

export interface HostOperatorOptions {
  /** It takes and restores snapshots, and nodes are asked here; absent = it does not. */
  readonly restores?: RestoreConfig;
  /** The agent's; absent = that of the present sources, which is brought to the cluster. */
  readonly image?: string;
  /** Where its sandboxes are; absent = in a namespace of its own. */
  readonly sandboxNamespace?: string;
}

export async function startHostOperator(
  env: Readonly<Record<string, string>> = {},
  { restores, image, sandboxNamespace: given }: HostOperatorOptions = {},
): Promise<HostOperator> {
  const cluster = await findCluster();
  const client = cluster.client();
  const agentImage = image ?? (await pushAgentImage());
  const directory = mkdtempSync(join(tmpdir(), "atoll-operator-"));
  const logPath = join(directory, "operator.log");
  const cleanUps: (() => Promise<unknown>)[] = [async () => rmSync(directory, { recursive: true })];
  const prefix = `test-${randomBytes(4).toString("hex")}`;

  for (const crd of [sandboxCrd(), rootfsSnapshotCrd()]) {
    await client.apply(CRDS, crd, call(), { fieldManager: "atoll-test" });
  }
  const [systemNamespace, removeSystem] = await createNamespace(client, "system");
  cleanUps.push(removeSystem);
  const [sandboxNamespace, removeSandboxes] = given === undefined ? await createNamespace(client, "boxes") : [given];
  if (removeSandboxes !== undefined) cleanUps.push(removeSandboxes);
  await client.create(SECRETS, { metadata: { name: AGENT_KEYS_SECRET, namespace: systemNamespace } }, call());
  cleanUps.push(
    await raiseFence(client, sandboxNamespace, { prefix, ...(restores === undefined ? {} : { restores }) }),
  );

  const program = await createOperatorProcess(
    {
      KUBECONFIG: cluster.kubeconfig,
      ATOLL_SYSTEM_NAMESPACE: systemNamespace,
      ATOLL_SANDBOX_NAMESPACES: sandboxNamespace,
      ATOLL_FENCE_PREFIX: prefix,
      ATOLL_SIDECAR_IMAGE: agentImage,
      ATOLL_LEADER_ELECTION: "false",
      ATOLL_NETWORK_CHECK: "false",
      ...(restores === undefined
        ? {}
        : {
            ATOLL_SNAPSHOTS: "true",
            ATOLL_RESTORE_PORT: String(restores.port),
            ATOLL_RESTORE_FOLDER: restores.folder,
          }),
      ...env,
    },
    logPath,
  );
  const { start, end: stop } = program;
  const dispose = async (): Promise<void> => {
    try {
      if (program.isRunning()) await removeSandboxesOf(client, sandboxNamespace);
    } finally {
      await stop();
      for (const cleanUp of cleanUps.toReversed()) await cleanUp();
    }
  };
  const operator = { cluster, client, sandboxNamespace, systemNamespace, start, stop, dispose };
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return { ...operator, log: () => readFileSync(logPath, "utf8") };
}

/** The operator speaks with the administrator's name here, so the fence must know that one. */
async function raiseFence(
  client: KubeClient,
  namespace: string,
  own: Pick<FenceConfig, "prefix" | "restores">,
): Promise<() => Promise<void>> {
  const fence = fences({
    sandboxNamespaces: [namespace],
    operatorUser: await userName(client),
    runtimeClass: RUNTIME_CLASS,
    capabilities: { container: CONTAINER_CAPABILITIES, marks: SIBLING_MARKS, agent: AGENT_CAPABILITIES },
    ...own,
  });
  for (const { policy, binding } of fence) {
    await client.create(VALIDATING_ADMISSION_POLICIES, policy, call());
    await client.create(VALIDATING_ADMISSION_POLICY_BINDINGS, binding, call());
  }
  return async () => {
    for (const { policy, binding } of fence) {
      await client.remove(VALIDATING_ADMISSION_POLICY_BINDINGS, binding.metadata, call());
      await client.remove(VALIDATING_ADMISSION_POLICIES, policy.metadata, call());
    }
  };
}

/** Under which name the API server knows who asks. */
async function userName(client: KubeClient): Promise<string> {
  const review = {
    group: "authentication.k8s.io",
    version: "v1",
    plural: "selfsubjectreviews",
    kind: "SelfSubjectReview",
    namespaced: false,
  } as const;
  const answer = await client.create(review, { metadata: { name: "" } }, call());
  return (answer as unknown as { status: { userInfo: { username: string } } }).status.userInfo.username;
}

async function removeSandboxesOf(client: KubeClient, namespace: string): Promise<void> {
  const remove = async (): Promise<string[]> => {
    const { items } = await client.list(SANDBOXES, { namespace }, call());
    for (const { metadata } of items)
      if (metadata.deletionTimestamp === undefined) await client.remove(SANDBOXES, metadata, call());
    return items.map(({ metadata }) => metadata.name);
  };
  await until(remove, (left) => left.length === 0, { timeoutMs: GONE_TIMEOUT_MS });
}
