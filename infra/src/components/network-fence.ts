import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { staticNetworkPolicies } from "#core/kubernetes/network-policies.ts";
import type { InstallConfig } from "../config.ts";

export interface NetworkFenceArgs {
  readonly config: InstallConfig;
}

/** The static policies of each sandbox namespace: sandboxes are closed, and labels open. */
export class NetworkFence extends pulumi.ComponentResource {
  constructor(name: string, { config }: NetworkFenceArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:NetworkFence", name, {}, options);
    const { clusterDns, sandboxes } = config.networkPolicies;
    for (const { name: sandboxNamespace } of sandboxes ? config.sandboxNamespaces : []) {
      const policies = staticNetworkPolicies({
        sandboxNamespace,
        systemNamespace: config.systemNamespace.name,
        clusterDns,
      });
      for (const { metadata, spec } of policies) {
        new k8s.networking.v1.NetworkPolicy(
          `${sandboxNamespace}-${metadata.name}`,
          { metadata, spec } as k8s.networking.v1.NetworkPolicyArgs,
          { parent: this },
        );
      }
    }
    this.registerOutputs({});
  }
}
