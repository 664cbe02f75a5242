import { KubeConfig } from "@kubernetes/client-node";
import type { AdmissionPolicy } from "#core/kubernetes/cluster-objects.ts";
import type { Fence } from "#core/kubernetes/admission/fence.ts";
import type { KubeClient, KubeFetch } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import type { PolicyRule } from "#core/kubernetes/policy-rule.ts";
import { VALIDATING_ADMISSION_POLICIES, VALIDATING_ADMISSION_POLICY_BINDINGS } from "#core/kubernetes/resources.ts";
import { createKubeFetch } from "#operator/node/kube-fetch.ts";
import type { ControlPlane } from "../harness/control-plane.ts";
import { call } from "./cluster.ts";

/** Where the account is. */
export const ACCOUNT_NAMESPACE = "default";
const RBAC = "/apis/rbac.authorization.k8s.io/v1";

/** Sends an object as the administrator. */
export async function post({ kubeconfig }: ControlPlane, path: string, body: object): Promise<Record<string, unknown>> {
  const init = { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const answer = await createKubeFetch(configOf(kubeconfig))(path, init);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

export function adminOf({ kubeconfig }: ControlPlane): KubeClient {
  return createKubeClient(createKubeFetch(configOf(kubeconfig)));
}

interface NodeAccount {
  readonly name: string;
  readonly node: string;
  readonly rules: readonly PolicyRule[];
}

/** A client of an account, as `fetchOnNode` makes it. */
export async function accountOnNode(plane: ControlPlane, account: NodeAccount): Promise<KubeClient> {
  return createKubeClient(await fetchOnNode(plane, account));
}

/** Requests with the token that kubelet gives to a pod of this account on this node; the account has these rights. */
export async function fetchOnNode(plane: ControlPlane, { name, node, rules }: NodeAccount): Promise<KubeFetch> {
  const accounts = `/api/v1/namespaces/${ACCOUNT_NAMESPACE}/serviceaccounts`;
  await post(plane, accounts, { metadata: { name } });
  const spec = { nodeName: node, serviceAccountName: name, containers: [{ name: "c", image: "none" }] };
  const pod = await post(plane, `/api/v1/namespaces/${ACCOUNT_NAMESPACE}/pods`, { metadata: { name }, spec });
  const { uid } = pod["metadata"] as { uid: string };
  const boundObjectRef = { apiVersion: "v1", kind: "Pod", name, uid };
  const { status } = await post(plane, `${accounts}/${name}/token`, { spec: { boundObjectRef } });
  await post(plane, `${RBAC}/clusterroles`, { metadata: { name }, rules });
  await post(plane, `${RBAC}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [{ kind: "ServiceAccount", name, namespace: ACCOUNT_NAMESPACE }],
  });
  return createKubeFetch(configOf(plane.kubeconfig, (status as { token: string }).token));
}

/** Puts up those policies of a fence that `isWanted` says. */
export async function putUp(
  plane: ControlPlane,
  fence: readonly Fence[],
  isWanted: (policy: AdmissionPolicy) => boolean,
): Promise<void> {
  const admin = adminOf(plane);
  for (const { policy, binding } of fence.filter(({ policy }) => isWanted(policy))) {
    await admin.create(VALIDATING_ADMISSION_POLICIES, policy, call());
    await admin.create(VALIDATING_ADMISSION_POLICY_BINDINGS, binding, call());
  }
}

/** What the API server says of a write. */
export function told(write: Promise<unknown>): Promise<string> {
  return write.then(
    () => "allowed",
    (error: unknown) => String(error),
  );
}

function configOf(kubeconfig: string, token?: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  if (token === undefined) return config;
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error("the kubeconfig names no cluster");
  const ours = new KubeConfig();
  ours.loadFromClusterAndUser(cluster, { name: "account", token });
  return ours;
}
