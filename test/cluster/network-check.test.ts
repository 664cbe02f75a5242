import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { NETWORK_POLICIES, PODS } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import { createNetworkCheck } from "#operator/control/network-check.ts";
import type { EventFacts } from "#operator/control/ports.ts";
import { TRIAL_NAMES } from "#operator/domain/network-check.ts";
import { pushAgentImage } from "../harness/cluster-images.ts";
import { call, createNamespace, findCluster } from "./cluster.ts";

const TEST_MS = 150_000;

let client: KubeClient;
let namespace: string;
let image: string;
let removeNamespace: (() => Promise<unknown>) | undefined;

beforeAll(async () => {
  client = (await findCluster()).client();
  [namespace, removeNamespace] = await createNamespace(client, "network-check");
  image = await pushAgentImage();
}, TEST_MS);
afterAll(() => removeNamespace?.());

async function verdictWith(over: KubeClient) {
  const verdicts: string[] = [];
  const told: EventFacts[] = [];
  const check = createNetworkCheck({
    client: over,
    clock: systemClock,
    log: silentLog,
    events: { record: (_regarding, facts) => void told.push(facts) },
    report: (verdict) => void verdicts.push(verdict),
    trial: { namespace, image, imagePullSecrets: [] },
    sandboxNamespaces: ["a", "b"],
  });
  await check(namespace, AbortSignal.timeout(TEST_MS));
  return { verdicts, reasons: told.map(({ reason }) => reason) };
}

/** The same cluster, with a network that lets nobody reach the closed port: nobody listens there. */
function enforcing(plain: KubeClient): KubeClient {
  return {
    ...plain,
    create: (resource, object, ...rest) => {
      const isServer = resource.plural === PODS.plural && object.metadata.name === TRIAL_NAMES.server;
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
});
