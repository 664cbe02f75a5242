import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SandboxNetwork, SandboxResource } from "#api/crd/sandbox.ts";
import { BLOCKED } from "#core/blocked-ranges.ts";
import { cidr, covers, formatCidr, includes } from "#core/cidr.ts";
import { formatIp, parseIp, type Ip } from "#core/ip.ts";
import { planNetwork, type EgressRule } from "#core/network.ts";
import { customNetworkPolicy, staticNetworkPolicies } from "./network-policies.ts";
import type { NetworkPolicy, PolicyEgressRule } from "./network-policy.ts";
import { networkLabels, sandboxLabels } from "./sandbox-labels.ts";

const OPTIONS = { sandboxNamespace: "sandboxes", systemNamespace: "system" };
const STATIC = staticNetworkPolicies(OPTIONS);

interface Flow {
  readonly ip: Ip;
  readonly protocol: "tcp" | "udp";
  readonly port: number;
}

function sandbox(network?: SandboxNetwork): SandboxResource {
  const spec = { podTemplate: { spec: { containers: [] } }, startupTimeoutSeconds: 90 };
  return {
    metadata: { name: "one", namespace: "sandboxes", uid: "u1" },
    spec: network === undefined ? spec : { ...spec, network },
  };
}

/** What Kubernetes makes of all policies together: the union of the rules of those that select the pod. */
function policiesAllow(network: SandboxNetwork, flow: Flow): boolean {
  const labels: Record<string, string> = { ...sandboxLabels("one"), ...networkLabels(network) };
  const custom = customNetworkPolicy(sandbox(network));
  return [...STATIC, ...(custom === undefined ? [] : [custom])]
    .filter((policy) => policy.spec.policyTypes.includes("Egress") && selects(policy, labels))
    .some((policy) => policy.spec.egress?.some((rule) => ruleAllows(rule, flow)) ?? false);
}

function selects({ spec }: NetworkPolicy, labels: Record<string, string>): boolean {
  return Object.entries(spec.podSelector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
}

function ruleAllows({ to = [], ports }: PolicyEgressRule, flow: Flow): boolean {
  const inPorts = ports?.some(({ protocol, port }) => protocol.toLowerCase() === flow.protocol && port === flow.port);
  return (
    (inPorts ?? true) &&
    to.some(
      ({ ipBlock }) =>
        ipBlock !== undefined &&
        includes(cidr(ipBlock.cidr), flow.ip) &&
        !(ipBlock.except ?? []).some((range) => includes(cidr(range), flow.ip)),
    )
  );
}

function planAllows(rules: readonly EgressRule[], flow: Flow): boolean {
  return rules.some(
    (rule) =>
      includes(cidr(rule.cidr), flow.ip) &&
      !rule.except.some((range) => includes(cidr(range), flow.ip)) &&
      (rule.ports?.some(({ protocol, port }) => protocol === flow.protocol && port === flow.port) ?? true),
  );
}

const v4 = fc.bigInt(0n, 2n ** 32n - 1n).map((value): Ip => ({ version: 4, value }));
const v6 = fc.bigInt(0n, 2n ** 128n - 1n).map((value): Ip => ({ version: 6, value }));
/** No packet has such an address, and no policy can name this range. */
const MAPPED = cidr("::ffff:0:0/96");
/** Edges of the blocked ranges, and public resolvers, are where mistakes show. */
const edge = fc
  .tuple(fc.constantFrom(...BLOCKED), fc.constantFrom(-1n, 0n, 1n))
  .map(([range, by]): Ip => ({ version: range.version, value: range.base + by }))
  .filter(({ value }) => value >= 0n);
const resolver = fc.constantFrom("8.8.8.8", "1.1.1.1", "9.9.9.9", "10.9.9.9", "2606:4700::1111", "127.0.0.1");
const ip = fc
  .oneof(
    v4,
    v6,
    edge,
    resolver.map((text) => parseIp(text) as Ip),
  )
  .filter((one) => !includes(MAPPED, one));
const range = fc
  .tuple(fc.oneof(v4, v6, edge), fc.integer({ min: 0, max: 128 }))
  .map(([{ version, value }, length]) => `${formatIp({ version, value })}/${length % (version === 4 ? 33 : 129)}`);
const network: fc.Arbitrary<SandboxNetwork> = fc.record(
  {
    allowInternetEgress: fc.boolean(),
    allowClusterDNS: fc.boolean(),
    allowIPv6Egress: fc.boolean(),
    allowedEgressCIDRs: fc.array(range, { maxLength: 4 }),
    nameservers: fc.array(resolver, { maxLength: 3 }),
  },
  { requiredKeys: [] },
);

describe("customNetworkPolicy()", () => {
  it("allows, with the static policies, exactly the flows of the plan", () => {
    const port = fc.constantFrom(53, 54, 443);
    const flow = fc.record({ ip, protocol: fc.constantFrom("tcp" as const, "udp" as const), port });
    let judged = 0;
    fc.assert(
      fc.property(network, fc.array(flow, { minLength: 1, maxLength: 12 }), (spec, flows) => {
        const plan = planOf(spec);
        fc.pre(plan !== undefined);
        for (const one of flows) {
          judged += 1;
          expect(policiesAllow(spec, one), `${formatIp(one.ip)} ${one.protocol} ${one.port}`).toBe(
            planAllows(plan.egress, one),
          );
        }
      }),
      { numRuns: 2000 },
    );
    expect(judged).toBeGreaterThan(5000);
  });

  it("leaves out only ranges strictly inside of what it opens, as Kubernetes demands", () => {
    fc.assert(
      fc.property(network, (spec) => {
        fc.pre(planOf(spec) !== undefined);
        const policies = [customNetworkPolicy(sandbox(spec)), ...STATIC].flatMap((policy) => policy ?? []);
        const blocks = policies.flatMap(({ spec: { egress = [] } }) =>
          egress.flatMap(({ to = [] }) => to.flatMap(({ ipBlock }) => ipBlock ?? [])),
        );
        for (const { cidr: outer, except = [] } of blocks) {
          expect(except.filter((inner) => !covers(cidr(outer), cidr(inner)) || inner === outer)).toEqual([]);
          expect(except).not.toContain(formatCidr(MAPPED));
        }
      }),
    );
  });

  it.each<[string, SandboxNetwork | undefined]>([
    ["no network", undefined],
    ["nothing opened", {}],
    ["IPv6 alone", { allowIPv6Egress: true }],
    ["a rate alone", { egressRateLimitBytesPerSecond: 1000 }],
    [
      "internet egress, whatever stands beside it",
      { allowInternetEgress: true, allowedEgressCIDRs: ["10.0.0.0/8"], nameservers: ["10.0.0.1"] },
    ],
    ["cluster DNS alone", { allowClusterDNS: true }],
    ["a resolver that is the sandbox itself", { nameservers: ["127.0.0.1"] }],
  ])("is not needed with %s", (_, spec) => expect(customNetworkPolicy(sandbox(spec))).toBeUndefined());

  it("has one rule for all resolvers, then one for each distinct range, and belongs to the sandbox", () => {
    const policy = customNetworkPolicy(
      sandbox({
        allowedEgressCIDRs: ["34.118.0.0/16", "9.9.9.0/24", "9.9.9.1/24"],
        nameservers: ["10.0.0.1", "9.9.9.9"],
      }),
    );
    const ports = [
      { protocol: "UDP", port: 53 },
      { protocol: "TCP", port: 53 },
    ];
    expect(policy).toEqual({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: {
        name: "one-custom-netpol",
        namespace: "sandboxes",
        labels: sandboxLabels("one"),
        ownerReferences: [expect.objectContaining({ kind: "Sandbox", name: "one", uid: "u1", controller: true })],
      },
      spec: {
        podSelector: { matchLabels: { "app.kubernetes.io/instance": "one" } },
        policyTypes: ["Egress"],
        egress: [
          { to: [{ ipBlock: { cidr: "10.0.0.1/32" } }, { ipBlock: { cidr: "9.9.9.9/32" } }], ports },
          { to: [{ ipBlock: { cidr: "34.118.0.0/16", except: ["34.118.224.0/20"] } }] },
          { to: [{ ipBlock: { cidr: "9.9.9.0/24" } }] },
        ],
      },
    });
  });

  it("opens the public resolvers with a list of ranges, unless the cluster resolves", () => {
    const rules = (spec: SandboxNetwork) => customNetworkPolicy(sandbox(spec))?.spec.egress?.length;
    expect(rules({ allowedEgressCIDRs: ["9.9.9.0/24"] })).toBe(2);
    expect(rules({ allowedEgressCIDRs: ["9.9.9.0/24"], allowClusterDNS: true })).toBe(1);
  });

  it.each(["10.1.0.0/16", "::ffff:9.9.9.9/128", "169.254.169.254/32"])("throws for the blocked range %s", (text) => {
    const spec = { allowIPv6Egress: true, allowedEgressCIDRs: [text] };
    expect(() => customNetworkPolicy(sandbox(spec))).toThrow(/lies in the blocked range/);
  });
});

describe("staticNetworkPolicies()", () => {
  it("closes every sandbox in both directions", () => {
    expect(STATIC[0]).toMatchObject({
      metadata: { name: "atoll-sandbox-default-deny", namespace: "sandboxes" },
      spec: { policyTypes: ["Ingress", "Egress"] },
    });
    expect(STATIC[0]?.spec).not.toHaveProperty("egress");
    expect(STATIC[0]?.spec).not.toHaveProperty("ingress");
    expect(
      STATIC.every((policy) => policy === STATIC[1] || selects(policy, { ...sandboxLabels("x"), ...ALL_LABELS })),
    ).toBe(true);
  });

  it("lets in the gateway alone, and to the agent's port alone", () => {
    expect(STATIC.flatMap(({ spec }) => spec.ingress ?? [])).toEqual([
      {
        from: [
          {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "system" } },
            podSelector: {
              matchLabels: { "app.kubernetes.io/name": "atoll-gateway", "app.kubernetes.io/part-of": "atoll" },
            },
          },
        ],
        ports: [{ protocol: "TCP", port: 10_032 }],
      },
    ]);
  });

  it("leaves every blocked range out of the internet", () => {
    const excepts = STATIC.flatMap(({ spec }) => spec.egress ?? []).flatMap(({ to = [] }) =>
      to.flatMap(({ ipBlock }) => ipBlock?.except ?? []),
    );
    const nameable = BLOCKED.map(formatCidr).filter((text) => text !== formatCidr(MAPPED));
    expect(excepts.toSorted()).toEqual(nameable.toSorted());
  });

  it("opens the resolver of a cluster that keeps it elsewhere", () => {
    const clusterDns = { namespace: "dns", podLabels: { app: "resolver" } };
    const policy = staticNetworkPolicies({ ...OPTIONS, clusterDns }).at(-1);
    expect(policy?.spec.egress?.[0]?.to).toEqual([
      {
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "dns" } },
        podSelector: { matchLabels: { app: "resolver" } },
      },
    ]);
  });
});

const ALL_LABELS = networkLabels({ allowInternetEgress: true, allowIPv6Egress: true, allowClusterDNS: true });

describe("networkLabels()", () => {
  it.each<[SandboxNetwork | undefined, string[]]>([
    [undefined, []],
    [{}, []],
    [{ allowIPv6Egress: true }, []],
    [{ allowedEgressCIDRs: ["9.9.9.0/24"] }, []],
    [{ allowInternetEgress: true }, ["isola.run/allow-ipv4-internet-egress"]],
    [
      { allowInternetEgress: true, allowIPv6Egress: true },
      ["isola.run/allow-ipv4-internet-egress", "isola.run/allow-ipv6-internet-egress"],
    ],
    [{ allowClusterDNS: true }, ["isola.run/allow-cluster-dns"]],
  ])("of %j are %j", (spec, labels) => {
    expect(networkLabels(spec)).toEqual(Object.fromEntries(labels.map((label) => [label, "true"])));
  });
});

function planOf(spec: SandboxNetwork) {
  try {
    return planNetwork(spec, { clusterResolvers: [] });
  } catch {
    return undefined;
  }
}
