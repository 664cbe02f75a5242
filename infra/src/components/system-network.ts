import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { AGENT_PORT, GATEWAY_NAME, LABEL, OPERATOR_NAME, SANDBOX_APP } from "#core/kubernetes/names.ts";
import { OPERATOR_PORTS } from "#operator/manifest.ts";
import { GATEWAY_PORTS } from "#runtime/manifest.ts";
import type { InstallConfig } from "../config.ts";
import { objectLabels, selectorLabels } from "../pods.ts";

type Spec = k8s.types.input.networking.v1.NetworkPolicySpec;
type EgressRule = k8s.types.input.networking.v1.NetworkPolicyEgressRule;

export interface SystemNetworkArgs {
  readonly config: InstallConfig;
}

/** Network policies of the platform's own pods: what serves is reached, and only what is needed is asked. */
export class SystemNetwork extends pulumi.ComponentResource {
  constructor(name: string, { config }: SystemNetworkArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:SystemNetwork", name, {}, options);
    const { system, apiServerPorts } = config.networkPolicies;
    const namespace = config.systemNamespace.name;
    const cluster: EgressRule[] = [
      { ports: [{ protocol: "UDP", port: 53 }, tcp(53)] },
      { ports: apiServerPorts.map(tcp) },
    ];
    const policies: [string, Spec][] = [
      [config.operator.name, specOf(OPERATOR_NAME, Object.values(OPERATOR_PORTS), cluster)],
      ...(config.gateway.enabled ? [gatewayPolicy(config, cluster)] : []),
    ];
    for (const [name, spec] of system ? policies : []) {
      const metadata = { namespace, name, labels: objectLabels("atoll") };
      new k8s.networking.v1.NetworkPolicy(name, { metadata, spec }, { parent: this });
    }
    this.registerOutputs({});
  }
}

/** The gateway also reaches the agents of the sandboxes that it serves. */
function gatewayPolicy({ gateway }: InstallConfig, cluster: EgressRule[]): [string, Spec] {
  const agents: EgressRule = {
    to: [
      {
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": gateway.sandboxNamespace } },
        podSelector: { matchLabels: { [LABEL.name]: SANDBOX_APP } },
      },
    ],
    ports: [tcp(AGENT_PORT)],
  };
  return [gateway.name, specOf(GATEWAY_NAME, Object.values(GATEWAY_PORTS), [...cluster, agents])];
}

function specOf(program: string, ports: readonly number[], egress: EgressRule[]): Spec {
  return {
    podSelector: { matchLabels: selectorLabels(program) },
    policyTypes: ["Ingress", "Egress"],
    ingress: [{ ports: ports.map(tcp) }],
    egress,
  };
}

function tcp(port: number): k8s.types.input.networking.v1.NetworkPolicyPort {
  return { protocol: "TCP", port };
}
