import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { AGENT_KEYS_SECRET } from "#core/kubernetes/names.ts";
import { objectLabels } from "../pods.ts";

export interface AgentKeysArgs {
  readonly namespace: string;
}

/**
 * Where the operator puts the keys by which gateway and agents know each other. Made empty: no
 * program of the installation knows a key, and what the operator put there stays.
 */
export class AgentKeys extends pulumi.ComponentResource {
  constructor(name: string, { namespace }: AgentKeysArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:AgentKeys", name, {}, options);
    new k8s.core.v1.Secret(
      AGENT_KEYS_SECRET,
      { metadata: { namespace, name: AGENT_KEYS_SECRET, labels: objectLabels("atoll") }, type: "Opaque" },
      { parent: this, ignoreChanges: ["data"] },
    );
    this.registerOutputs({});
  }
}
