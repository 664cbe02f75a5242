import { beforeAll, describe, expect, it, test } from "vitest";
import { NETWORK_TRIAL } from "#core/kubernetes/names.ts";
import type { Registration } from "../../test/cluster/pulumi/registration.ts";
import { API_KEY, registrationsOf } from "../test/registrations.ts";

interface Described {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Record<string, string>;
    readonly labels?: Record<string, string>;
  };
  readonly spec?: Record<string, unknown>;
  readonly data?: Record<string, string>;
}

/** Kinds of ours that have no namespace. */
const CLUSTER_WIDE = new Set([
  "Namespace",
  "CustomResourceDefinition",
  "RuntimeClass",
  "PriorityClass",
  "ClusterRole",
  "ClusterRoleBinding",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
]);

const STORE_KEY = "a-key-of-the-store-of-the-tests";

/** All that can be switched on. */
const EVERYTHING = {
  imagePullSecrets: ["pull"],
  sandboxNamespaces: [{ name: "one" }, { name: "two", keep: true, labels: { team: "a" } }],
  operator: { replicas: 2, podDisruptionBudget: { enabled: true }, resources: { limits: { cpu: "1000m" } } },
  gateway: {
    autoscaling: { enabled: true },
    podDisruptionBudget: { enabled: true },
    ingress: { enabled: true, hosts: ["atoll.test"], tlsSecret: "cert" },
    service: { type: "NodePort", nodePort: 30_080, annotations: { a: true } },
  },
  priorityClass: { create: true },
  serviceMonitor: { enabled: true, additionalLabels: { release: "prometheus" } },
  snapshotCredentials: { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: STORE_KEY },
  snapshots: {
    enabled: true,
    store: { url: "s3://bucket?region=eu-west-1" },
    mounter: { identityToken: { audience: "store" }, environment: { AWS_REGION: "eu-west-1" }, seLinuxType: "spc_t" },
  },
};

describe.each([
  ["defaults", {}],
  ["everything", EVERYTHING],
])("createInstallation with %s", (_, settings) => {
  let all: readonly Registration[] = [];
  beforeAll(async () => {
    all = await registrationsOf(settings);
  });

  it("gives each object an explicit provider and each namespaced one its namespace", () => {
    const found = objects(all);
    expect(found.length).toBeGreaterThan(25);
    expect(found.filter(({ provider }) => !provider.includes("pulumi:providers:kubernetes::kubernetes"))).toEqual([]);
    const homeless = found
      .map(described)
      .filter(({ kind, metadata }) => CLUSTER_WIDE.has(kind) === (metadata.namespace !== undefined));
    expect(homeless).toEqual([]);
  });

  it("sends nothing that the API server would drop", () => {
    const dropped = objects(all).flatMap((one) => emptiness(one.inputs).map((path) => `${one.name}: ${path}`));
    expect(dropped).toEqual([]);
  });

  it("names each resource and each object once", () => {
    const urns = all.map(({ urn }) => urn);
    expect(new Set(urns).size).toBe(urns.length);
    const keys = objects(all)
      .map(described)
      .map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ""}/${metadata.name}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("leaves the pods of the trial of network policies to the trial's own policy", () => {
    const trial = new Set<string>([NETWORK_TRIAL.label]);
    const policies = objects(all)
      .map(described)
      .filter(({ kind, metadata }) => kind === "NetworkPolicy" && metadata.namespace === "atoll-system");
    expect(policies.length).toBeGreaterThan(0);
    for (const { spec } of policies) {
      const { podSelector } = spec as { podSelector: { matchLabels?: Record<string, string> } };
      // Its pods have no label but their own.
      expect(Object.keys(podSelector.matchLabels ?? {}).filter((key) => !trial.has(key))).not.toEqual([]);
    }
  });

  it("registers the same again", async () => {
    const again = await registrationsOf(settings);
    expect(byUrn(again)).toEqual(byUrn(all));
  });

  it("makes what fences sandboxes, and what the operator needs, before the operator", () => {
    const operator = find(all, "Deployment", "atoll-operator");
    const needed = objects(all).filter(({ inputs }) =>
      ["Namespace", "CustomResourceDefinition", "ValidatingAdmissionPolicyBinding", "RuntimeClass"].includes(
        String(inputs["kind"]),
      ),
    );
    const policies = objects(all).filter(
      ({ name, inputs }) => inputs["kind"] === "NetworkPolicy" && name.includes("sandbox"),
    );
    const keys = find(all, "Secret", "atoll-agent-keys");
    expect([...needed, ...policies, keys].filter((one) => !isBefore(all, one, operator))).toEqual([]);
    expect(policies.length).toBeGreaterThanOrEqual(5);
  });

  it("makes the guard of each sandbox namespace after the operator and its rights, and the gateway after it", () => {
    const guards = all.filter(({ inputs }) => inputs["kind"] === "ConfigMap");
    const rights = objects(all).filter(
      ({ inputs, name }) => String(inputs["kind"]).endsWith("RoleBinding") && name.startsWith("atoll-operator"),
    );
    const before = [find(all, "Deployment", "atoll-operator"), ...rights];
    const gateway = find(all, "Deployment", "atoll-gateway");
    expect(guards.length).toBeGreaterThan(0);
    expect(guards.flatMap((guard) => before.filter((one) => !isBefore(all, one, guard)))).toEqual([]);
    expect(guards.filter((guard) => !isBefore(all, guard, gateway))).toEqual([]);
  });

  it("tells API keys and credentials to nobody but a secret", () => {
    const told = objects(all).filter(({ inputs }) =>
      [API_KEY, STORE_KEY].some((key) => JSON.stringify(inputs).includes(key)),
    );
    expect(told).toEqual([]);
    const secret = find(all, "Secret", "atoll-api-keys");
    expect(secret.secrets).toEqual(["data"]);
    expect(atob(described(secret).data?.["api-keys"] ?? "")).toBe(`${API_KEY}\n`);
  });
});

describe("createInstallation", () => {
  let byDefault: readonly Registration[] = [];
  beforeAll(async () => {
    byDefault = await registrationsOf();
  });

  it("installs by default what the snapshot shows", async () => {
    const shown = objects(byDefault).filter(
      ({ inputs }) => !/CustomResourceDefinition|ValidatingAdmissionPolicy$/.test(String(inputs["kind"])),
    );
    const found = shown.toSorted((one, other) => one.urn.localeCompare(other.urn)).map(({ inputs }) => inputs);
    await expect(JSON.stringify(found, undefined, 2)).toMatchFileSnapshot("../test/default-installation.txt");
  });

  test.each<[string, object, string, string, number]>([
    ["crds.install", { crds: { install: false } }, "CustomResourceDefinition", "", 0],
    ["systemNamespace.create", { systemNamespace: { create: false } }, "Namespace", "atoll-system", 0],
    [
      "sandboxNamespaces[].create",
      { sandboxNamespaces: [{ name: "isola-sandboxes", create: false }] },
      "Namespace",
      "isola-sandboxes",
      0,
    ],
    ["runtimeClass.install", { runtimeClass: { install: false } }, "RuntimeClass", "", 0],
    ["installer.enabled", { installer: { enabled: false } }, "DaemonSet", "", 0],
    ["admissionPolicies.install", { admissionPolicies: { install: false } }, "ValidatingAdmissionPolicy", "", 0],
    [
      "operator.networkCheck",
      { operator: { networkCheck: false } },
      "ValidatingAdmissionPolicy",
      "atoll-network-check-pods",
      0,
    ],
    ["networkPolicies", { networkPolicies: { sandboxes: false, system: false } }, "NetworkPolicy", "", 0],
    ["gateway.enabled", { gateway: { enabled: false } }, "Deployment", "atoll-gateway", 0],
    ["gateway.autoscaling.enabled", { gateway: { autoscaling: { enabled: true } } }, "HorizontalPodAutoscaler", "", 1],
    [
      "gateway.podDisruptionBudget.enabled",
      { gateway: { podDisruptionBudget: { enabled: true } } },
      "PodDisruptionBudget",
      "",
      1,
    ],
    [
      "operator.podDisruptionBudget.enabled",
      { operator: { podDisruptionBudget: { enabled: true } } },
      "PodDisruptionBudget",
      "",
      1,
    ],
    ["gateway.ingress.enabled", { gateway: { ingress: { enabled: true, hosts: ["a.test"] } } }, "Ingress", "", 1],
    ["gateway.auth.existingSecret", { gateway: { auth: { existingSecret: "mine" } } }, "Secret", "atoll-api-keys", 0],
    [
      "operator.serviceAccount.create",
      { operator: { serviceAccount: { create: false } } },
      "ServiceAccount",
      "atoll-operator",
      0,
    ],
    [
      "operator.metrics.service.enabled",
      { operator: { metrics: { service: { enabled: false } } } },
      "Service",
      "atoll-operator-metrics",
      0,
    ],
    [
      "gateway.metrics.service.enabled",
      { gateway: { metrics: { service: { enabled: false } } } },
      "Service",
      "atoll-gateway-metrics",
      0,
    ],
    ["serviceMonitor.enabled", { serviceMonitor: { enabled: true } }, "ServiceMonitor", "atoll-operator-metrics", 1],
    ["serviceMonitor.enabled", { serviceMonitor: { enabled: true } }, "ServiceMonitor", "atoll-gateway-metrics", 1],
    ["priorityClass.create", { priorityClass: { create: true } }, "PriorityClass", "", 1],
  ])("%s switches", async (_, settings, kind, name, count) => {
    const matching = (found: readonly Registration[]): number =>
      objects(found)
        .map(described)
        .filter((one) => one.kind === kind && (name === "" || one.metadata.name === name)).length;
    const switched = await registrationsOf(settings as Record<string, unknown>);
    expect(matching(switched)).toBe(count);
    expect(matching(byDefault) > 0).toBe(count === 0);
  });

  it("lets each program's metrics be scraped on a port of their own, and clients reach no metrics", async () => {
    const all = await registrationsOf({ serviceMonitor: { enabled: true, additionalLabels: { release: "p" } } });
    for (const name of ["atoll-operator", "atoll-gateway"]) {
      const pod = template(find(all, "Deployment", name));
      const port = pod.spec.containers[0]?.ports.find((one) => one.name === "metrics")?.containerPort;
      const listen = pod.spec.containers[0]?.env.find((one) => one.name === "ATOLL_METRICS_LISTEN")?.value;
      expect(listen).toBe(`0.0.0.0:${port}`);
      const service = described(find(all, "Service", `${name}-metrics`));
      expect(service.spec).toMatchObject({ ports: [{ port, targetPort: "metrics" }] });
      expect(pod.metadata.labels).toMatchObject(service.spec?.["selector"] as object);
      const policy = described(find(all, "NetworkPolicy", name)).spec as { ingress: [{ ports: { port: number }[] }] };
      expect(policy.ingress[0].ports.map((one) => one.port)).toContain(port);
      const monitor = described(find(all, "ServiceMonitor", `${name}-metrics`));
      expect(monitor.spec).toMatchObject({ endpoints: [{ port: "metrics", path: "/metrics" }] });
      expect(monitor.metadata.labels).toHaveProperty("release", "p");
      const { matchLabels } = (monitor.spec as { selector: { matchLabels: object } }).selector;
      const chosen = objects(all)
        .map(described)
        .filter(
          ({ kind, metadata }) =>
            kind === "Service" && Object.entries(matchLabels).every(([key, value]) => metadata.labels?.[key] === value),
        );
      expect(chosen.map(({ metadata }) => metadata.name)).toEqual([`${name}-metrics`]);
    }
    const service = described(find(all, "Service", "atoll-gateway")).spec as { ports: { targetPort: string }[] };
    expect(service.ports.map(({ targetPort }) => targetPort)).toEqual(["http"]);
  });

  it("gives the operator no right to make pods in the system namespace without a trial", async () => {
    const rightsOf = async (networkCheck: boolean): Promise<string> => {
      const roles = objects(await registrationsOf({ operator: { networkCheck } })).filter(
        (one) => described(one).kind === "Role" && described(one).metadata.namespace === "atoll-system",
      );
      return JSON.stringify(roles.map(({ inputs }) => inputs["rules"]));
    };
    expect(await rightsOf(false)).not.toMatch(/"(pods|networkpolicies)"/);
    expect(await rightsOf(true)).toMatch(/"pods".*"networkpolicies"/);
  });

  it("leaves the number of gateways to an autoscaler", async () => {
    const scaled = described(
      find(await registrationsOf({ gateway: { autoscaling: { enabled: true } } }), "Deployment", "atoll-gateway"),
    );
    expect(scaled.spec).not.toHaveProperty("replicas");
    const fixed = described(find(await registrationsOf({ gateway: { replicas: 3 } }), "Deployment", "atoll-gateway"));
    expect(fixed.spec).toHaveProperty("replicas", 3);
  });

  it("keeps definitions on destroy unless asked, and namespaces when asked", async () => {
    const kept = async (settings: Record<string, unknown>): Promise<string[]> =>
      (await registrationsOf(settings)).filter(({ retainOnDelete }) => retainOnDelete).map(({ name }) => name);
    expect((await kept({})).toSorted()).toEqual(["rootfssnapshots.sandbox.isola.run", "sandboxes.sandbox.isola.run"]);
    expect(await kept({ crds: { keep: false } })).toEqual([]);
    expect(await kept({ crds: { keep: false }, sandboxNamespaces: [{ name: "s", keep: true }] })).toEqual(["s"]);
  });

  it("gives a resource the same identity and provider whether it is kept or not", async () => {
    const identities = async (keep: boolean): Promise<string[]> =>
      (await registrationsOf({ crds: { keep }, sandboxNamespaces: [{ name: "s", keep }], systemNamespace: { keep } }))
        .map(({ urn, provider }) => `${urn} ${provider}`)
        .toSorted();
    expect(await identities(true)).toEqual(await identities(false));
  });

  it("leaves the agents' keys to the operator", async () => {
    const secret = find(byDefault, "Secret", "atoll-agent-keys");
    expect(secret.ignoreChanges).toEqual(["data"]);
    expect(secret.inputs).not.toHaveProperty("data");
  });

  it("changes with a new tag only the platform's own workloads", async () => {
    const [before, after] = [await registrationsOf({ imageTag: "1" }), await registrationsOf({ imageTag: "2" })];
    const old = byUrn(before);
    const changed = Object.entries(byUrn(after)).filter(
      ([urn, one]) => JSON.stringify(one) !== JSON.stringify(old[urn]),
    );
    expect(Object.keys(byUrn(after))).toEqual(Object.keys(old));
    expect(changed.map(([, { inputs }]) => String(inputs["kind"])).toSorted()).toEqual([
      "DaemonSet",
      "Deployment",
      "Deployment",
    ]);
  });

  it("keeps gateway and operator without privilege", async () => {
    const pods = objects(byDefault)
      .filter(({ inputs }) => inputs["kind"] === "Deployment")
      .map((one) => template(one).spec);
    expect(pods).toHaveLength(2);
    for (const pod of pods) {
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      expect(pod).not.toHaveProperty("hostPID");
      expect(pod.containers.map(({ securityContext }) => securityContext)).toEqual([
        { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
      ]);
    }
  });
});

interface PodSpec {
  readonly securityContext: object;
  readonly containers: readonly {
    readonly securityContext: object;
    readonly env: readonly { readonly name: string; readonly value?: string }[];
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  }[];
}

interface PodTemplate {
  readonly metadata: { readonly labels: Record<string, string> };
  readonly spec: PodSpec;
}

function template(workload: Registration): PodTemplate {
  return (described(workload).spec as { template: PodTemplate }).template;
}

function objects(all: readonly Registration[]): Registration[] {
  return all.filter(({ custom, type }) => custom && type.startsWith("kubernetes:"));
}

function described({ inputs }: Registration): Described {
  return inputs as unknown as Described;
}

function find(all: readonly Registration[], kind: string, name: string): Registration {
  const found = objects(all).find((one) => described(one).kind === kind && described(one).metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

function byUrn(all: readonly Registration[]): Record<string, Registration> {
  const dependencies = (one: Registration): Registration => ({ ...one, dependencies: one.dependencies.toSorted() });
  return Object.fromEntries(
    all.toSorted((a, b) => a.urn.localeCompare(b.urn)).map((one) => [one.urn, dependencies(one)]),
  );
}

/** Whether `first` must be ready before `then` is made: by its own dependencies or those of its parents. */
function isBefore(all: readonly Registration[], first: Registration, then: Registration): boolean {
  const seen = new Set<string>();
  const reaches = (urn: string): boolean => {
    if (urn === first.urn) return true;
    if (seen.has(urn)) return false;
    seen.add(urn);
    const one = all.find((registration) => registration.urn === urn);
    return one !== undefined && [...one.dependencies, one.parent].some((next) => next !== "" && reaches(next));
  };
  return reaches(then.urn);
}

/** Paths of null, of empty texts, lists and maps, where they would not be kept as they are. */
function emptiness(value: unknown, path = ""): string[] {
  // An empty selector selects everything, an empty status makes a subresource: both mean something.
  if (/openAPIV3Schema|subresources\.status$|(pod|namespace|object)Selector$|apiGroups\[0\]$/.test(path)) return [];
  if (value === null || value === "") return [path];
  if (Array.isArray(value))
    return value.length === 0 ? [path] : value.flatMap((item, at) => emptiness(item, `${path}[${at}]`));
  if (typeof value !== "object") return [];
  const entries = Object.entries(value);
  return entries.length === 0 ? [path] : entries.flatMap(([key, item]) => emptiness(item, `${path}.${key}`));
}
