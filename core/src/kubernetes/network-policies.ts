import type { SandboxResource } from "#api/crd/sandbox.ts";
import { planNetwork, type EgressRule } from "#core/network.ts";
import {
  AGENT_PORT,
  customPolicyName,
  GATEWAY_POD_LABELS,
  LABEL,
  SANDBOX_APP,
  SANDBOX_MANAGER,
  STATIC_POLICY,
} from "./names.ts";
import type {
  LabelSelector,
  NetworkPolicy,
  NetworkPolicySpec,
  PolicyEgressRule,
  PolicyPeer,
  PolicyPort,
} from "./network-policy.ts";
import { ownerOf, sandboxLabels } from "./sandbox-labels.ts";

/** What the policies of a cluster depend on. */
export interface PolicyOptions {
  readonly sandboxNamespace: string;
  /** Where the gateway's pods run. */
  readonly systemNamespace: string;
  /** The pods that resolve names for the cluster. @default `CLUSTER_DNS` */
  readonly clusterDns?: { readonly namespace: string; readonly podLabels: Readonly<Record<string, string>> };
}

/** Where nearly every cluster keeps its resolver. */
export const CLUSTER_DNS = { namespace: "kube-system", podLabels: { "k8s-app": "kube-dns" } } as const;

const SANDBOX_PODS = { [LABEL.name]: SANDBOX_APP, [LABEL.managedBy]: SANDBOX_MANAGER };
/**
 * Kubernetes and network plug-ins read this range as all of IPv4, and refuse it inside one of IPv6.
 * No packet on a wire has such an address: systems send IPv4 instead, which has rules of its own.
 */
const IPV4_MAPPED = "::ffff:0:0/96";
const DNS_PORTS: readonly PolicyPort[] = [
  { protocol: "UDP", port: 53 },
  { protocol: "TCP", port: 53 },
];

/**
 * The policies of a sandbox namespace: all sandboxes are closed, the gateway reaches their agents,
 * and labels open what `networkLabels` stands for. The resolver of a cluster is a set of pods, not
 * an address, so cluster DNS is such a label and no rule of a sandbox's own plan.
 */
export function staticNetworkPolicies(options: PolicyOptions): readonly NetworkPolicy[] {
  const { namespace, podLabels } = options.clusterDns ?? CLUSTER_DNS;
  const [ipv4, ipv6] = internetRules();
  return [
    policy(STATIC_POLICY.defaultDeny, options, {
      podSelector: { matchLabels: SANDBOX_PODS },
      policyTypes: ["Ingress", "Egress"],
    }),
    policy(STATIC_POLICY.gatewayIngress, options, {
      podSelector: { matchLabels: SANDBOX_PODS },
      policyTypes: ["Ingress"],
      ingress: [
        {
          from: [podsOf(options.systemNamespace, GATEWAY_POD_LABELS)],
          ports: [{ protocol: "TCP", port: AGENT_PORT }],
        },
      ],
    }),
    opened(STATIC_POLICY.ipv4Internet, LABEL.ipv4Internet, options, [ipv4]),
    opened(STATIC_POLICY.ipv6Internet, LABEL.ipv6Internet, options, [ipv6]),
    opened(STATIC_POLICY.clusterDns, LABEL.clusterDns, options, [
      { to: [podsOf(namespace, podLabels)], ports: DNS_PORTS },
    ]),
  ];
}

/**
 * The policy that a sandbox has for itself: the ranges and resolvers of its plan. Undefined when
 * the static ones are all it needs. Throws as `checkNetwork` does.
 */
export function customNetworkPolicy(sandbox: SandboxResource): NetworkPolicy | undefined {
  const { name, namespace } = sandbox.metadata;
  const plan = planNetwork(sandbox.spec.network ?? {}, { clusterResolvers: [] });
  const egress = egressRules(plan.egress);
  if (egress.length === 0) return undefined;
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: {
      name: customPolicyName(name),
      ...(namespace === undefined ? {} : { namespace }),
      labels: sandboxLabels(name),
      ownerReferences: [ownerOf(sandbox)],
    },
    spec: { podSelector: { matchLabels: { [LABEL.instance]: name } }, policyTypes: ["Egress"], egress },
  };
}

/** All resolvers in one rule, then a rule for each range. Internet egress is a label's, not a sandbox's own. */
function egressRules(rules: readonly EgressRule[]): readonly PolicyEgressRule[] {
  const resolvers = rules.filter(({ origin }) => origin === "nameserver").map(block);
  const ranges = rules.filter(({ origin }) => origin === "cidr").map((rule) => ({ to: [block(rule)] }));
  return [...(resolvers.length === 0 ? [] : [{ to: resolvers, ports: DNS_PORTS }]), ...ranges];
}

/** The whole internet, version 4 and 6, as any sandbox's plan has it. */
function internetRules(): readonly [PolicyEgressRule, PolicyEgressRule] {
  const { egress } = planNetwork({ allowInternetEgress: true, allowIPv6Egress: true }, { clusterResolvers: [] });
  const rules = egress.map((rule) => ({ to: [block(rule)] }));
  const [ipv4, ipv6] = rules;
  if (ipv4 === undefined || ipv6 === undefined) throw new RangeError("Cannot find a rule for each version of IP");
  return [ipv4, ipv6];
}

function block({ cidr, except }: EgressRule): PolicyPeer {
  const expressible = except.filter((range) => range !== IPV4_MAPPED);
  return { ipBlock: { cidr, ...(expressible.length === 0 ? {} : { except: expressible }) } };
}

function podsOf(namespace: string, matchLabels: Readonly<Record<string, string>>): PolicyPeer {
  return {
    namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
    podSelector: { matchLabels },
  };
}

function opened(
  name: string,
  label: string,
  options: PolicyOptions,
  egress: readonly PolicyEgressRule[],
): NetworkPolicy {
  const podSelector: LabelSelector = { matchLabels: { ...SANDBOX_PODS, [label]: "true" } };
  return policy(name, options, { podSelector, policyTypes: ["Egress"], egress });
}

function policy(name: string, { sandboxNamespace }: PolicyOptions, spec: NetworkPolicySpec): NetworkPolicy {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name, namespace: sandboxNamespace, labels: { [LABEL.partOf]: "atoll" } },
    spec,
  };
}
