import { KubeConfig } from "@kubernetes/client-node";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { CONFIG_MAPS, CRDS, NAMESPACES } from "#core/kubernetes/resources.ts";
import { createKubeFetch } from "#operator/node/kube-fetch.ts";
import { registrationsOf } from "../../../infra/test/registrations.ts";
import { startControlPlane, type ControlPlane } from "../../harness/control-plane.ts";
import { call } from "../cluster.ts";
import { createKubernetesProvider, type KubernetesProvider } from "./kubernetes-provider.ts";
import type { Registration } from "./registration.ts";

const NAMESPACE = "isola-sandboxes";
const DEPLOYMENTS = { group: "apps", version: "v1", plural: "deployments", kind: "Deployment", namespaced: true };
const SANDBOX_CRD = "sandboxes.sandbox.isola.run";
const GUARD = { namespace: NAMESPACE, name: "atoll-drain" };

let plane: ControlPlane;
let client: KubeClient;
let provider: KubernetesProvider;

beforeAll(async () => {
  plane = await startControlPlane();
  const config = new KubeConfig();
  config.loadFromFile(plane.kubeconfig);
  client = createKubeClient(createKubeFetch(config));
  provider = createKubernetesProvider(client, AbortSignal.timeout(120_000));
  for (const name of [NAMESPACE, "atoll-system"]) await client.create(NAMESPACES, { metadata: { name } }, call());
}, 120_000);
afterAll(() => plane.dispose());

async function only(kind: string, settings: Record<string, unknown> = {}, name?: string): Promise<Registration> {
  const found = (await registrationsOf(settings)).filter(
    (one) => one.inputs["kind"] === kind && (name === undefined || one.name === name),
  );
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`there are ${found.length} of ${kind}`);
  return first;
}

/** The same with another description of the resource, as a later version of the platform has it. */
function later(registration: Registration, description: string): Registration {
  const inputs = structuredClone(registration.inputs) as {
    spec: { versions: { schema: { openAPIV3Schema: { description?: string } } }[] };
  };
  for (const { schema } of inputs.spec.versions) schema.openAPIV3Schema.description = description;
  return { ...registration, inputs };
}

it("a definition that was installed, changed and kept is taken up by the next version", async () => {
  const first = await only("CustomResourceDefinition", {}, SANDBOX_CRD);
  const settled = async (registration: Registration): Promise<void> => {
    await provider.update(registration);
    expect(await provider.diff(registration)).toEqual([]);
  };
  await provider.create(first, true);
  await settled(later(first, "the second"));
  const third = later(first, "the third");
  await provider.create(third, true);
  expect(await provider.diff(third)).toEqual([]);
  await settled(later(first, "the fourth"));
  const { spec } = await client.get(CRDS, { name: SANDBOX_CRD }, call());
  expect(JSON.stringify(spec.versions)).toContain("the fourth");
});

it("a guard is let go and held again, and never removed", async () => {
  const [waits, passes] = [await only("ConfigMap"), await only("ConfigMap", { drainOnDestroy: false })];
  const { metadata } = await provider.create(waits, false);
  for (const [wanted, finalizers] of [
    [passes, undefined],
    [waits, ["atoll.run/drain"]],
  ] as const) {
    const now = await provider.update(wanted);
    expect(now.metadata.uid).toBe(metadata.uid);
    expect(now.metadata.finalizers).toEqual(finalizers);
    expect(await provider.diff(wanted)).toEqual([]);
  }
});

/** A Deployment that nobody waits for: this cluster has no controllers. */
async function deployment(name: string, settings: Record<string, unknown>): Promise<Registration> {
  const registration = await only("Deployment", settings, name);
  const inputs = structuredClone(registration.inputs) as { metadata: { annotations?: Record<string, string> } };
  inputs.metadata.annotations = { ...inputs.metadata.annotations, "pulumi.com/skipAwait": "true" };
  return { ...registration, inputs };
}

it("the operator changes between electing a leader and having none", async () => {
  const of = (leaderElection: boolean, imageTag = "1") =>
    deployment("atoll-operator", { imageTag, operator: { leaderElection } });
  await provider.create(await of(true), false);
  for (const wanted of [await of(true, "2"), await of(false, "2"), await of(true, "2")]) {
    await provider.update(wanted);
    expect(await provider.diff(wanted)).toEqual([]);
  }
});

it("the number of gateways belongs to an autoscaler until it is switched off", async () => {
  const of = (enabled: boolean, imageTag = "1") =>
    deployment("atoll-gateway", { imageTag, gateway: { replicas: 2, autoscaling: { enabled } } });
  const ref = { namespace: "atoll-system", name: "atoll-gateway" };
  const autoscaler = { subresource: "scale", fieldManager: "kube-controller-manager" };
  await provider.create(await of(true), false);
  await client.patch(DEPLOYMENTS, ref, { spec: { replicas: 5 } }, call(), autoscaler);
  const upgraded = await provider.update(await of(true, "2"));
  expect(upgraded["spec"]).toMatchObject({ replicas: 5 });
  const back = await provider.update(await of(false, "2"));
  expect(back["spec"]).toMatchObject({ replicas: 2 });
});

it("a field that somebody else changed is a conflict", async () => {
  const guard = await only("ConfigMap");
  const purpose = { data: { purpose: "another" } };
  await client.patch(CONFIG_MAPS, GUARD, purpose, call(), { fieldManager: "somebody" });
  await expect(provider.update(guard)).rejects.toThrow(/conflict.*somebody/);
});
