import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { objectLabels, selectorLabels } from "../pods.ts";

export interface DisruptionBudgetArgs {
  readonly program: string;
  readonly name: string;
  readonly namespace: string;
  readonly budget: { readonly enabled: boolean; readonly minAvailable: number };
}

/** How many pods of a program an eviction leaves. */
export class DisruptionBudget extends pulumi.ComponentResource {
  constructor(name: string, args: DisruptionBudgetArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:DisruptionBudget", name, {}, options);
    if (args.budget.enabled) {
      new k8s.policy.v1.PodDisruptionBudget(
        args.name,
        {
          metadata: { namespace: args.namespace, name: args.name, labels: objectLabels(args.program) },
          spec: { minAvailable: args.budget.minAvailable, selector: { matchLabels: selectorLabels(args.program) } },
        },
        { parent: this },
      );
    }
    this.registerOutputs({});
  }
}
