import { KubeConfig } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it, test, vi } from "vitest";
import { INSTALLER_CLUSTER_RULES } from "#installer/manifest.ts";
import { createNodeReport } from "#installer/node-report.ts";
import { fences } from "#core/kubernetes/admission/fence.ts";
import { serviceAccountUser } from "#core/kubernetes/admission/fence-config.ts";
import { systemClock } from "#core/clock.ts";
import type { KubeClient, KubeFetch } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { GVISOR_NODE_LABEL } from "#core/kubernetes/names.ts";
import { NODES } from "#core/kubernetes/resources.ts";
import { createKubeFetch } from "#operator/node/kube-fetch.ts";
import { startControlPlane, type ControlPlane } from "../harness/control-plane.ts";
import { call } from "./cluster.ts";

const ACCOUNT = "installer";
const NAMESPACE = "default";
const TAINT = { key: "reserved", value: "yes", effect: "NoSchedule" };
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const ADMISSION = "/apis/admissionregistration.k8s.io/v1";

let plane: ControlPlane;
let admin: KubeFetch;
/** With the token that the kubelet of node "one" gives to its pod. */
let installer: KubeClient;

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const init = { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const answer = await admin(path, init);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

function configOf(kubeconfig: string, token?: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  if (token === undefined) return config;
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error("the kubeconfig names no cluster");
  const ours = new KubeConfig();
  ours.loadFromClusterAndUser(cluster, { name: ACCOUNT, token });
  return ours;
}

/** The token of a pod on node "one". */
async function tokenOnNode(): Promise<string> {
  const accounts = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`;
  await post(accounts, { metadata: { name: ACCOUNT } });
  const spec = { nodeName: "one", serviceAccountName: ACCOUNT, containers: [{ name: "c", image: "none" }] };
  const pod = await post(`/api/v1/namespaces/${NAMESPACE}/pods`, { metadata: { name: ACCOUNT }, spec });
  const { uid } = pod["metadata"] as { uid: string };
  const boundObjectRef = { apiVersion: "v1", kind: "Pod", name: ACCOUNT, uid };
  const { status } = await post(`${accounts}/${ACCOUNT}/token`, { spec: { boundObjectRef } });
  return (status as { token: string }).token;
}

beforeAll(async () => {
  plane = await startControlPlane();
  admin = createKubeFetch(configOf(plane.kubeconfig));
  for (const name of ["one", "two"])
    await post("/api/v1/nodes", { metadata: { name, labels: { pool: "a" } }, spec: { taints: [TAINT] } });
  const token = await tokenOnNode();
  const name = ACCOUNT;
  await post(`${RBAC}/clusterroles`, { metadata: { name }, rules: INSTALLER_CLUSTER_RULES });
  await post(`${RBAC}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [{ kind: "ServiceAccount", name, namespace: NAMESPACE }],
  });
  installer = createKubeClient(createKubeFetch(configOf(plane.kubeconfig, token)));
  const installerUser = serviceAccountUser(NAMESPACE, ACCOUNT);
  const capabilities = { container: [], marks: [], agent: [] };
  const all = fences({ sandboxNamespaces: ["s"], operatorUser: "o", runtimeClass: "g", capabilities, installerUser });
  for (const { policy, binding } of all.filter(({ policy }) => policy.metadata.name.endsWith("-nodes"))) {
    await post(`${ADMISSION}/validatingadmissionpolicies`, policy);
    await post(`${ADMISSION}/validatingadmissionpolicybindings`, binding);
  }
  // A policy is in force some time after it was made.
  const isHeld = async (): Promise<boolean> => (await outcome("two", { labels: { probe: "x" } })) !== "allowed";
  await vi.waitUntil(isHeld, { timeout: 30_000, interval: 200 });
}, 120_000);
afterAll(() => plane.dispose());

/** What the API server says of a patch that changes nothing for good. */
async function outcome(name: string, metadata: object, spec: object = {}): Promise<string> {
  const patched = installer.patch(NODES, { name }, { metadata, spec }, call(), { dryRun: true });
  return patched.then(
    () => "allowed",
    (error: unknown) => String(error),
  );
}

describe("the installer's account", () => {
  it("says of its own node whether gVisor works there", async () => {
    const report = createNodeReport(installer, { nodeName: "one", clock: systemClock, newId: () => "1" });
    // Its events are forbidden here: this account has the right to patch nodes and no other.
    await report.works("release-1", call()).catch(() => undefined);
    const { metadata } = await createKubeClient(admin).get(NODES, { name: "one" }, call());
    expect(metadata.labels).toMatchObject({ pool: "a", [GVISOR_NODE_LABEL]: "true" });
    await report.fails("no room", call()).catch(() => undefined);
    const after = await createKubeClient(admin).get(NODES, { name: "one" }, call());
    expect(after.metadata.labels).toEqual({ pool: "a" });
    expect(after.metadata.annotations).toMatchObject({ "atoll.run/gvisor-fault": "no room" });
  });

  test.each<[string, string, object, object?]>([
    ["another node", "two", { labels: { [GVISOR_NODE_LABEL]: "true" } }],
    ["a label of others", "one", { labels: { pool: "b" } }],
    ["a new label", "one", { labels: { "node-role.kubernetes.io/control-plane": "" } }],
    ["the absence of a label", "one", { labels: { pool: null } }],
    [
      "an annotation of others",
      "one",
      { annotations: { "cluster-autoscaler.kubernetes.io/scale-down-disabled": "x" } },
    ],
    ["a taint", "one", {}, { taints: null }],
    ["a finalizer", "one", { finalizers: ["a.test/b"] }],
    ["an owner", "one", { ownerReferences: [{ apiVersion: "v1", kind: "Node", name: "two", uid: "1" }] }],
  ])("does not change %s", async (_, name, metadata, spec) => {
    expect(await outcome(name, metadata, spec)).toMatch(/the installer changes no/);
  });
});
