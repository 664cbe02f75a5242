import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { registrationsOf } from "../../infra/test/registrations.ts";
import { findCluster, type Cluster } from "./cluster.ts";
import { createKubernetesProvider, type KubernetesProvider } from "./pulumi/kubernetes-provider.ts";
import type { Registration } from "./pulumi/registration.ts";

/** Names of this run, so that it disturbs no installation and no other run. */
const RUN = `rbac-${randomBytes(4).toString("hex")}`;
const SYSTEM = `test-${RUN}-system`;
const SANDBOXES = `test-${RUN}-sandboxes`;
const SETTINGS = {
  systemNamespace: { name: SYSTEM },
  sandboxNamespaces: [{ name: SANDBOXES }],
  operator: { name: `${RUN}-operator` },
  gateway: { name: `${RUN}-gateway` },
  installer: { name: `${RUN}-installer` },
  snapshots: { enabled: true, store: { url: "s3://bucket" }, mounter: { name: `${RUN}-mounter` } },
};
/** What decides who may do what, and where. */
const KINDS = [
  "CustomResourceDefinition",
  "Namespace",
  "ServiceAccount",
  "Role",
  "ClusterRole",
  "RoleBinding",
  "ClusterRoleBinding",
];

let cluster: Cluster;
let provider: KubernetesProvider;
let made: Registration[] = [];

beforeAll(async () => {
  cluster = await findCluster();
  provider = createKubernetesProvider(cluster.client(), AbortSignal.timeout(120_000));
  const all = (await registrationsOf(SETTINGS)).filter(({ inputs }) => KINDS.includes(String(inputs["kind"])));
  made = all.toSorted((a, b) => rank(a) - rank(b));
  for (const registration of made) await provider.create(registration, registration.retainOnDelete);
}, 60_000);
afterAll(async () => {
  const ours = made.filter(({ retainOnDelete }) => !retainOnDelete);
  await Promise.all(ours.map((registration) => provider.remove(registration)));
}, 120_000);

function rank({ inputs }: Registration): number {
  return KINDS.indexOf(String(inputs["kind"]));
}

/** Verb, resource (`resource/name` of one object, `resource:part` of a subresource), namespace; absent = the whole cluster. */
type Act = [verb: string, resource: string, namespace?: string | undefined];

async function can(account: string, [verb, resource, namespace]: Act): Promise<boolean> {
  const [whole = "", part] = resource.split(":");
  const what = part === undefined ? [whole] : [whole, `--subresource=${part}`];
  const where = namespace === undefined ? ["--all-namespaces"] : ["--namespace", namespace];
  const as = `system:serviceaccount:${SYSTEM}:${account}`;
  const { stdout, stderr } = await cluster.run("kubectl", ["auth", "can-i", verb, ...what, ...where, `--as=${as}`]);
  if (!/^(yes|no)/.test(stdout)) throw new Error(`kubectl auth can-i ${verb} ${resource} said ${stdout}${stderr}`);
  return stdout.startsWith("yes");
}

/** What nobody of the platform may do. */
const FORBIDDEN: readonly Act[] = [
  ["get", "secrets", SANDBOXES],
  ["list", "secrets", SYSTEM],
  ["get", "secrets/atoll-api-keys", SYSTEM],
  ["get", "secrets"],
  ["list", "pods", SYSTEM],
  ["get", "pods/atoll-gateway-0", SYSTEM],
  ["delete", "pods/atoll-gateway-0", SYSTEM],
  ["patch", "pods/atoll-network-check-server", SYSTEM],
  ["delete", "networkpolicies.networking.k8s.io/atoll-gateway", SYSTEM],
  ["patch", "networkpolicies.networking.k8s.io/atoll-network-check", SYSTEM],
  ["create", "pods", "kube-system"],
  ["create", "pods"],
  ["list", "pods"],
  ["delete", "pods"],
  ["create", "pods:exec", SANDBOXES],
  ["update", "pods:ephemeralcontainers", SANDBOXES],
  ["create", "serviceaccounts:token", SYSTEM],
  ["create", "rolebindings.rbac.authorization.k8s.io", SANDBOXES],
  ["bind", "clusterroles.rbac.authorization.k8s.io"],
  ["escalate", "roles.rbac.authorization.k8s.io", SANDBOXES],
  ["impersonate", "users"],
  ["update", "validatingadmissionpolicies.admissionregistration.k8s.io"],
  ["delete", "validatingadmissionpolicybindings.admissionregistration.k8s.io"],
  ["update", "customresourcedefinitions.apiextensions.k8s.io"],
  ["delete", "namespaces"],
  ["delete", "nodes"],
  ["create", "events.events.k8s.io"],
  ["list", "sandboxes.sandbox.isola.run", SYSTEM],
  ["list", "rootfssnapshots.sandbox.isola.run", SYSTEM],
  ["update", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
  ["*", "*"],
];

const ALLOWED: Readonly<Record<string, readonly Act[]>> = {
  "atoll-operator": [
    ["watch", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["patch", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["delete", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["patch", "sandboxes.sandbox.isola.run:status", SANDBOXES],
    ["create", "pods", SANDBOXES],
    ["delete", "pods", SANDBOXES],
    ["watch", "pods", SANDBOXES],
    ["patch", "networkpolicies.networking.k8s.io", SANDBOXES],
    ["patch", "configmaps/atoll-drain", SANDBOXES],
    ["create", "events.events.k8s.io", SANDBOXES],
    ["watch", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["create", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["patch", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["delete", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["patch", "rootfssnapshots.sandbox.isola.run:status", SANDBOXES],
    ["get", "nodes"],
    ["create", "leases.coordination.k8s.io", SYSTEM],
    ["update", "leases.coordination.k8s.io/3e5ad6c4.isola.run", SYSTEM],
    ["get", "secrets/atoll-agent-keys", SYSTEM],
    ["patch", "secrets/atoll-agent-keys", SYSTEM],
    // Which pods and which policy, says the fence.
    ["create", "pods", SYSTEM],
    ["get", "pods/atoll-network-check-client", SYSTEM],
    ["delete", "pods/atoll-network-check-server", SYSTEM],
    ["create", "networkpolicies.networking.k8s.io", SYSTEM],
    ["list", "networkpolicies.networking.k8s.io", SYSTEM],
    ["delete", "networkpolicies.networking.k8s.io/atoll-network-check", SYSTEM],
    ["watch", "validatingadmissionpolicybindings.admissionregistration.k8s.io"],
    ["get", "runtimeclasses.node.k8s.io"],
  ],
  "atoll-gateway": [
    ["create", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["watch", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["patch", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["delete", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["create", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["watch", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["patch", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["delete", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["watch", "pods", SANDBOXES],
    ["get", "secrets/atoll-agent-keys", SYSTEM],
  ],
  "atoll-mounter": [
    ["watch", "pods", SANDBOXES],
    ["watch", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["watch", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    // Which of them, and what of them, says the fence.
    ["patch", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["patch", "rootfssnapshots.sandbox.isola.run:status", SANDBOXES],
    ["patch", "sandboxes.sandbox.isola.run:status", SANDBOXES],
    ["create", "events.events.k8s.io", SANDBOXES],
    ["create", "leases.coordination.k8s.io", SYSTEM],
    ["update", "leases.coordination.k8s.io/atoll-snapshot-collector", SYSTEM],
  ],
  "atoll-installer": [
    ["patch", "nodes"],
    ["create", "events.events.k8s.io", "default"],
  ],
};

describe.each(Object.entries(ALLOWED))("%s", (account, allowed) => {
  test.each<Act>([...allowed])("may %s %s in %s", async (verb, resource, namespace) => {
    expect(await can(account, [verb, resource, namespace])).toBe(true);
  });

  test.each<Act>([...FORBIDDEN])("may not %s %s in %s", async (verb, resource, namespace) => {
    expect(await can(account, [verb, resource, namespace])).toBe(false);
  });
});

describe("atoll-gateway", () => {
  test.each<Act>([
    ["create", "pods", SYSTEM],
    ["create", "networkpolicies.networking.k8s.io", SYSTEM],
    ["create", "pods", SANDBOXES],
    ["delete", "pods", SANDBOXES],
    ["patch", "sandboxes.sandbox.isola.run:status", SANDBOXES],
    ["patch", "secrets/atoll-agent-keys", SYSTEM],
    ["patch", "networkpolicies.networking.k8s.io", SANDBOXES],
    ["delete", "configmaps/atoll-drain", SANDBOXES],
  ])("may not %s %s in %s, which is the operator's", async (verb, resource, namespace) => {
    expect(await can("atoll-gateway", [verb, resource, namespace])).toBe(false);
  });
});

describe("atoll-installer", () => {
  test.each<Act>([
    ["create", "pods", SYSTEM],
    ["create", "networkpolicies.networking.k8s.io", SYSTEM],
  ])("may not %s %s in %s, which is the operator's", async (verb, resource, namespace) => {
    expect(await can("atoll-installer", [verb, resource, namespace])).toBe(false);
  });
});

describe("the namespaces", () => {
  it("give their own default accounts nothing", async () => {
    const acts: Act[] = [
      ["get", "pods", SANDBOXES],
      ["create", "sandboxes.sandbox.isola.run", SANDBOXES],
    ];
    expect(await Promise.all(acts.map((act) => can("default", act)))).toEqual([false, false]);
  });
});

describe("atoll-mounter", () => {
  test.each<Act>([
    ["create", "pods", SANDBOXES],
    ["delete", "pods", SANDBOXES],
    ["patch", "pods", SANDBOXES],
    ["patch", "pods:status", SANDBOXES],
    ["create", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["patch", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["delete", "sandboxes.sandbox.isola.run", SANDBOXES],
    ["create", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["delete", "rootfssnapshots.sandbox.isola.run", SANDBOXES],
    ["get", "secrets/atoll-agent-keys", SYSTEM],
    ["get", "secrets/atoll-snapshot-credentials", SYSTEM],
    ["update", "leases.coordination.k8s.io/3e5ad6c4.isola.run", SYSTEM],
    ["get", "nodes"],
    ["patch", "nodes"],
  ])("may not %s %s in %s", async (verb, resource, namespace) => {
    expect(await can("atoll-mounter", [verb, resource, namespace])).toBe(false);
  });
});
