import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { fences } from "#core/kubernetes/admission/fence.ts";
import { serviceAccountUser } from "#core/kubernetes/admission/fence-config.ts";
import type { Resource } from "#core/kubernetes/client.ts";
import { NETWORK_TRIAL, OPERATOR_NAME } from "#core/kubernetes/names.ts";
import type { NetworkPolicy } from "#core/kubernetes/network-policy.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import {
  NETWORK_POLICIES,
  PODS,
  VALIDATING_ADMISSION_POLICIES,
  VALIDATING_ADMISSION_POLICY_BINDINGS,
} from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import { createNetworkCheck } from "#operator/control/network-check.ts";
import type { EventFacts } from "#operator/control/ports.ts";
import { OPERATOR_NETWORK_TRIAL_RULES, TRIAL_COMMANDS } from "#operator/manifest.ts";
import { AGENT_CAPABILITIES, CONTAINER_CAPABILITIES, SIBLING_MARKS } from "#sidecar/manifest.ts";
import { pushAgentImage } from "../harness/cluster-images.ts";
import { call, createNamespace, findCluster } from "./cluster.ts";

const TEST_MS = 150_000;

let client: KubeClient;
let namespace: string;
let image: string;
const cleanUps: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  client = (await findCluster()).client();
  const [name, removeNamespace] = await createNamespace(client, "network-check");
  namespace = name;
  cleanUps.push(removeNamespace);
  image = await pushAgentImage();
}, TEST_MS);
afterAll(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
});

async function verdictWith(over: KubeClient) {
  const verdicts: string[] = [];
  const told: EventFacts[] = [];
  const check = createNetworkCheck({
    client: over,
    clock: systemClock,
    log: silentLog,
    events: { record: (_regarding, facts) => void told.push(facts) },
    report: (verdict) => void verdicts.push(verdict),
    trial: { namespace, image, imagePullPolicy: "IfNotPresent", imagePullSecrets: [] },
    sandboxNamespaces: ["a", "b"],
  });
  await check(namespace, AbortSignal.timeout(TEST_MS));
  return { verdicts, reasons: told.map(({ reason }) => reason) };
}

/** The operator's account, with its rights alone, held by its fence. */
async function asInstalled(): Promise<KubeClient> {
  const rbac = (plural: string, kind: string): Resource<KubeObject> => ({
    group: "rbac.authorization.k8s.io",
    version: "v1",
    plural,
    kind,
    namespaced: true,
  });
  const metadata = { name: OPERATOR_NAME, namespace };
  const role = { metadata, rules: OPERATOR_NETWORK_TRIAL_RULES };
  await client.create(rbac("roles", "Role"), role, call());
  const binding = {
    metadata,
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: OPERATOR_NAME },
    subjects: [{ kind: "ServiceAccount", ...metadata }],
  };
  await client.create(rbac("rolebindings", "RoleBinding"), binding, call());
  const operatorUser = serviceAccountUser(namespace, OPERATOR_NAME);
  const fence = fences({
    sandboxNamespaces: [`${namespace}-sandboxes`],
    operatorUser,
    runtimeClass: "gvisor",
    networkTrial: { namespace, imageRepository: image.slice(0, image.lastIndexOf(":")), commands: TRIAL_COMMANDS },
    capabilities: { container: CONTAINER_CAPABILITIES, marks: SIBLING_MARKS, agent: AGENT_CAPABILITIES },
    prefix: namespace,
  });
  for (const { policy, binding } of fence) {
    await client.create(VALIDATING_ADMISSION_POLICIES, policy, call());
    cleanUps.push(() => client.remove(VALIDATING_ADMISSION_POLICIES, policy.metadata, call()));
    await client.create(VALIDATING_ADMISSION_POLICY_BINDINGS, binding, call());
    cleanUps.push(() => client.remove(VALIDATING_ADMISSION_POLICY_BINDINGS, binding.metadata, call()));
  }
  const operator = (await findCluster()).client({ as: operatorUser, isAlone: true });
  const pod = { metadata: { name: "x", namespace }, spec: { containers: [{ name: "x", image: "x" }] } };
  const refusal = () => operator.create(PODS, pod, call(), { dryRun: true }).then(String, String);
  await expect.poll(refusal, { timeout: 30_000 }).toContain("the operator runs no pods here but");
  return operator;
}

/** The same cluster, with a network that lets nobody reach the closed port: nobody listens there. */
function enforcing(plain: KubeClient): KubeClient {
  return {
    ...plain,
    create: (resource, object, ...rest) => {
      const isServer = resource.plural === PODS.plural && object.metadata.name === NETWORK_TRIAL.server;
      const text = JSON.stringify(object).replace(/\[(\d+), \d+\]/, "[$1]");
      return plain.create(resource, isServer ? (JSON.parse(text) as typeof object) : object, ...rest);
    },
  };
}

async function left(): Promise<readonly string[]> {
  const pods = await client.list(PODS, { namespace }, call());
  const policies = await client.list(NETWORK_POLICIES, { namespace }, call());
  return [...pods.items, ...policies.items].map(({ metadata }) => metadata.name);
}

describe("createNetworkCheck()", () => {
  it(
    "finds that nobody enforces policies, as with the testbed's network, and says so in each namespace",
    async () => {
      const expected = {
        verdicts: ["not-enforced"],
        reasons: ["NetworkPolicyNotEnforced", "NetworkPolicyNotEnforced"],
      };
      expect(await verdictWith(client)).toEqual(expected);
      expect(await left()).toEqual([]);
    },
    TEST_MS,
  );

  it(
    "finds that policies are enforced where the closed port cannot be reached",
    async () => {
      expect(await verdictWith(enforcing(client))).toEqual({ verdicts: ["enforced"], reasons: [] });
      expect(await left()).toEqual([]);
    },
    TEST_MS,
  );

  it(
    "needs no more than the operator's rights, and gets through its fence",
    async () => {
      const operator = await asInstalled();
      expect((await verdictWith(operator)).verdicts).toEqual(["not-enforced"]);
      expect(await left()).toEqual([]);
    },
    TEST_MS,
  );

  it(
    "says nothing where another's policy may have opened the closed port",
    async () => {
      const policy: NetworkPolicy = {
        metadata: { name: "allow-same-namespace", namespace },
        spec: { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ from: [{ podSelector: {} }] }] },
      };
      await client.create(NETWORK_POLICIES, policy, call());
      try {
        expect(await verdictWith(client)).toEqual({ verdicts: ["unknown"], reasons: [] });
        expect(await left()).toEqual(["allow-same-namespace"]);
      } finally {
        await client.remove(NETWORK_POLICIES, policy.metadata, call());
      }
    },
    TEST_MS,
  );
});
