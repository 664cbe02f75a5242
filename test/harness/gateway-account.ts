import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Resource } from "#core/kubernetes/client.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import type { PolicyRule } from "#core/kubernetes/policy-rule.ts";
import { GATEWAY_SANDBOX_NAMESPACE_RULES, GATEWAY_SYSTEM_NAMESPACE_RULES } from "#runtime/manifest.ts";
import { call } from "../cluster/cluster.ts";
import type { HostOperator } from "./host-operator.ts";

const NAME = "gateway-under-test";
const RBAC = "rbac.authorization.k8s.io";

/** An account with the gateway's rights and no others; gives a kubeconfig that speaks in its name to this address. */
export async function makeGatewayAccount(operator: HostOperator, server: string, directory: string): Promise<string> {
  const { client, cluster, systemNamespace, sandboxNamespace } = operator;
  const create = (resource: Resource<KubeObject>, object: object): Promise<unknown> =>
    client.create(resource, object as KubeObject, call());
  const kind = (group: string, plural: string, name: string): Resource<KubeObject> => ({
    group,
    version: "v1",
    plural,
    kind: name,
    namespaced: true,
  });
  await create(kind("", "serviceaccounts", "ServiceAccount"), { metadata: { name: NAME, namespace: systemNamespace } });
  const grant = async (namespace: string, rules: readonly PolicyRule[]): Promise<void> => {
    const metadata = { name: NAME, namespace };
    await create(kind(RBAC, "roles", "Role"), { metadata, rules });
    await create(kind(RBAC, "rolebindings", "RoleBinding"), {
      metadata,
      roleRef: { apiGroup: RBAC, kind: "Role", name: NAME },
      subjects: [{ kind: "ServiceAccount", name: NAME, namespace: systemNamespace }],
    });
  };
  await grant(sandboxNamespace, GATEWAY_SANDBOX_NAMESPACE_RULES);
  await grant(systemNamespace, GATEWAY_SYSTEM_NAMESPACE_RULES);
  const { stdout } = await cluster.run("kubectl", ["create", "token", NAME, "--namespace", systemNamespace]);
  const path = join(directory, `${NAME}.yaml`);
  const context = { cluster: "here", user: "gateway" };
  const config = {
    "current-context": "here",
    contexts: [{ name: "here", context }],
    clusters: [{ name: "here", cluster: { server } }],
    users: [{ name: "gateway", user: { token: stdout.trim() } }],
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
