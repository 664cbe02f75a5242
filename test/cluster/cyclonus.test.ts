import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { customNetworkPolicy, staticNetworkPolicies } from "#core/kubernetes/network-policies.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import { NAMESPACES, NETWORK_POLICIES } from "#core/kubernetes/resources.ts";
import { call, createNamespace, findCluster, type Cluster } from "./cluster.ts";
import { CLUSTER_FLOWS, NAMESPACE, NETWORKS, PEERS, type ClusterFlow, type Peer } from "./cluster-flows.ts";

const POLICIES: readonly NetworkPolicy[] = [
  ...staticNetworkPolicies({ sandboxNamespace: NAMESPACE.sandboxes, systemNamespace: NAMESPACE.system }),
  ...Object.entries(NETWORKS).flatMap(([name, network]) => customNetworkPolicy(sandbox(name, network)) ?? []),
];

let cluster: Cluster;
let folder: string;
beforeAll(async () => {
  cluster = await findCluster();
  folder = await mkdtemp(join(tmpdir(), "atoll-flows-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function sandbox(name: string, network: SandboxResource["spec"]["network"]): SandboxResource {
  const spec = { podTemplate: { spec: { containers: [] } }, startupTimeoutSeconds: 90 };
  return {
    metadata: { name, namespace: NAMESPACE.sandboxes, uid: "u" },
    spec: network === undefined ? spec : { ...spec, network },
  };
}

function peer(name: string) {
  const { ip, namespace, labels }: Peer = PEERS[name] ?? { ip: name };
  if (namespace === undefined) return { IP: ip };
  const namespaceLabels = { "kubernetes.io/metadata.name": namespace };
  return { IP: ip, Internal: { PodLabels: labels, NamespaceLabels: namespaceLabels, Namespace: namespace } };
}

/** What an independent reading of the policies makes of each flow. */
async function judge(policies: readonly NetworkPolicy[], flows: readonly ClusterFlow[]): Promise<readonly boolean[]> {
  const traffic = flows.map(({ from, dst, kind, port }) => ({
    Source: peer(from),
    Destination: peer(dst),
    ResolvedPort: port,
    ResolvedPortName: "",
    Protocol: kind.toUpperCase(),
  }));
  const [policyPath, trafficPath] = [join(folder, "policies.json"), join(folder, "traffic.json")];
  await writeFile(
    policyPath,
    JSON.stringify({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicyList", items: policies }),
  );
  await writeFile(trafficPath, JSON.stringify(traffic));
  const args = ["analyze", "--mode=query-traffic", `--policy-path=${policyPath}`, `--traffic-path=${trafficPath}`];
  const { stdout, stderr, exitCode } = await cluster.run("cyclonus", args);
  expect(exitCode, stderr).toBe(0);
  const answers = [...stdout.matchAll(/IS ALLOWED\? \|\s+(TRUE|FALSE)/g)].map(([, answer]) => answer === "TRUE");
  expect(answers).toHaveLength(flows.length);
  return answers;
}

describe("cyclonus analyze, of the policies as they are rendered", () => {
  let answers: readonly boolean[];
  beforeAll(async () => {
    answers = await judge(POLICIES, CLUSTER_FLOWS);
  });

  it.each(CLUSTER_FLOWS.map((flow, index) => [flow.name, flow.arrives, index] as const))("%s", (_, arrives, index) => {
    expect(answers[index]).toBe(arrives);
  });

  it("judges at least a hundred flows, and each lets pass without policies", async () => {
    expect(CLUSTER_FLOWS.length).toBeGreaterThanOrEqual(100);
    expect(new Set(CLUSTER_FLOWS.map(({ name }) => name)).size).toBe(CLUSTER_FLOWS.length);
    expect(await judge([], CLUSTER_FLOWS)).toEqual(CLUSTER_FLOWS.map(() => true));
  });
});

it("the API server takes every rendered policy", async () => {
  const client = cluster.client();
  const [namespace, remove] = await createNamespace(client, "policies");
  try {
    for (const policy of POLICIES) {
      const { labels, name } = policy.metadata;
      const object = { ...policy, metadata: { name, namespace, ...(labels === undefined ? {} : { labels }) } };
      const made = await client.create(NETWORK_POLICIES, object, call(), { dryRun: true });
      expect(made.spec).toEqual(policy.spec);
    }
  } finally {
    await remove();
  }
  await expect(client.get(NAMESPACES, { name: namespace }, call())).resolves.toMatchObject({
    status: { phase: "Terminating" },
  });
});
