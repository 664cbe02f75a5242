import type { SandboxNetwork } from "#api/crd/sandbox.ts";
import { AGENT_PORT, GATEWAY_POD_LABELS } from "#core/kubernetes/names.ts";
import { CLUSTER_DNS } from "#core/kubernetes/network-policies.ts";
import { networkLabels, sandboxLabels } from "#core/kubernetes/sandbox-labels.ts";
import { OPERATOR_PORTS } from "#operator/manifest.ts";
import { GATEWAY_PORTS } from "#runtime/manifest.ts";
import { FLOWS, SANDBOXES, type Flow } from "../network/flow-table.ts";

/** Somebody that sends or is sent to: without a namespace, a machine outside of the cluster. */
export interface Peer {
  readonly ip: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ClusterFlow {
  readonly name: string;
  readonly from: string;
  /** Name of a peer, or an address. */
  readonly dst: string;
  readonly kind: "tcp" | "udp";
  readonly port: number;
  readonly arrives: boolean;
}

export const NAMESPACE = { sandboxes: "sandboxes", system: "system", other: "other" } as const;

/** The sandboxes of the flow table, and what only a cluster has beside them. */
export const NETWORKS: Readonly<Record<string, SandboxNetwork>> = {
  ...Object.fromEntries(Object.entries(SANDBOXES).map(([name, network]) => [name, network ?? {}])),
  "dns-and-ranges": { allowClusterDNS: true, allowedEgressCIDRs: ["9.9.9.0/24"] },
  "dns-and-internet": { allowClusterDNS: true, allowInternetEgress: true },
  "dns-and-named": { allowClusterDNS: true, nameservers: ["9.9.9.9"] },
};

/** Where the flow table has the resolver that `allowClusterDNS` opens. */
const RESOLVER_IP = "10.9.0.53";

export const PEERS: Readonly<Record<string, Peer>> = {
  ...Object.fromEntries(
    Object.entries(NETWORKS).map(([name, network], index) => [name, sandboxPeer(name, network, index)]),
  ),
  victim6: { ...sandboxPeer("victim", SANDBOXES["victim"] ?? {}, 0), ip: "fd91::7" },
  [RESOLVER_IP]: { ip: RESOLVER_IP, namespace: CLUSTER_DNS.namespace, labels: CLUSTER_DNS.podLabels },
  gateway: { ip: "10.91.1.1", namespace: NAMESPACE.system, labels: GATEWAY_POD_LABELS },
  operator: { ip: "10.91.1.2", namespace: NAMESPACE.system, labels: { "app.kubernetes.io/name": "atoll-operator" } },
  "false-gateway": { ip: "10.91.1.3", namespace: NAMESPACE.other, labels: GATEWAY_POD_LABELS },
  "false-gateway-inside": { ip: "10.91.1.4", namespace: NAMESPACE.sandboxes, labels: GATEWAY_POD_LABELS },
  "false-resolver": { ip: "10.91.1.5", namespace: NAMESPACE.other, labels: CLUSTER_DNS.podLabels },
  "other-of-kube-system": {
    ip: "10.91.1.6",
    namespace: CLUSTER_DNS.namespace,
    labels: { "k8s-app": "metrics-server" },
  },
  stranger: { ip: "10.91.1.7", namespace: NAMESPACE.other, labels: {} },
  wan: { ip: "203.0.113.9" },
  /** Of the cluster's node: what the flow table calls the host, on addresses that no sandbox may reach. */
  "own-gateway": { ip: "10.90.0.1" },
  "victim-gateway": { ip: "10.90.0.2" },
  "host-lan": { ip: "192.168.7.1" },
  "service-of-the-api-server": { ip: "10.96.0.1" },
};

function sandboxPeer(name: string, network: SandboxNetwork, index: number): Peer {
  const labels = { ...sandboxLabels(name), ...networkLabels(network) };
  return { ip: `10.91.0.${index + 10}`, namespace: NAMESPACE.sandboxes, labels };
}

const SHARED = FLOWS.flatMap((flow) => (isJudged(flow) ? [flow] : []));

/**
 * Network policies speak of TCP and UDP. They let a node's public address be part of the internet,
 * where rules on the machine itself deny it.
 */
function isJudged(flow: Flow): flow is Flow & ClusterFlow {
  const isOfPorts = (flow.kind === "tcp" || flow.kind === "udp") && flow.port !== undefined;
  return isOfPorts && flow.from in PEERS && !flow.dst.startsWith("host-wan");
}

const allowed = (from: string, kind: "tcp" | "udp", dst: string, port: number) => flow(from, kind, dst, port, true);
const denied = (from: string, kind: "tcp" | "udp", dst: string, port: number) => flow(from, kind, dst, port, false);

function flow(from: string, kind: "tcp" | "udp", dst: string, port: number, arrives: boolean): ClusterFlow {
  return {
    name: `${from}: ${kind} to ${dst} port ${port} ${arrives ? "passes" : "is denied"}`,
    from,
    kind,
    dst,
    port,
    arrives,
  };
}

/** One table for real packets on a machine and for the policies of a cluster, and what only the latter has. */
export const CLUSTER_FLOWS: readonly ClusterFlow[] = [
  ...SHARED,
  // The gateway speaks with agents, and with nothing else in a sandbox.
  ...["off", "victim", "everything", "cluster"].map((sandbox) => allowed("gateway", "tcp", sandbox, AGENT_PORT)),
  denied("gateway", "udp", "victim", AGENT_PORT),
  denied("gateway", "tcp", "victim", 7777),
  denied("gateway", "tcp", "victim", 22),
  // Nobody else does.
  ...["operator", "false-gateway", "false-gateway-inside", "other-of-kube-system", "stranger", "internet6", "wan"].map(
    (from) => denied(from, "tcp", "victim", AGENT_PORT),
  ),
  ...["stranger", "operator", "wan"].map((from) => denied(from, "tcp", "off", 7777)),
  // The cluster's resolver is a pod of one namespace.
  denied("cluster", "udp", "false-resolver", 53),
  denied("cluster", "udp", "other-of-kube-system", 53),
  denied("cluster", "tcp", RESOLVER_IP, 9153),
  allowed("dns-and-ranges", "udp", RESOLVER_IP, 53),
  allowed("dns-and-ranges", "tcp", "9.9.9.9", 443),
  denied("dns-and-ranges", "udp", "8.8.8.8", 53),
  allowed("dns-and-internet", "udp", RESOLVER_IP, 53),
  allowed("dns-and-internet", "tcp", "34.1.1.1", 443),
  denied("dns-and-internet", "tcp", RESOLVER_IP, 443),
  allowed("dns-and-named", "udp", "9.9.9.9", 53),
  allowed("dns-and-named", "tcp", RESOLVER_IP, 53),
  denied("dns-and-named", "tcp", "9.9.9.9", 443),
  // The cluster itself.
  ...["internet6", "everything", "dns-and-internet"].flatMap((from) => [
    denied(from, "tcp", "service-of-the-api-server", 443),
    denied(from, "tcp", "gateway", 8080),
    denied(from, "tcp", "operator", OPERATOR_PORTS.metrics),
    denied(from, "tcp", "gateway", GATEWAY_PORTS.metrics),
    denied(from, "tcp", "stranger", 80),
  ]),
  // What is no sandbox is none of these policies' business.
  allowed("stranger", "tcp", "gateway", 8080),
  allowed("false-gateway-inside", "tcp", "9.9.9.9", 443),
];
