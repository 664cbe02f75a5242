import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { InstallConfig } from "../config.ts";
import { objectLabels } from "../pods.ts";

export interface SandboxPriorityArgs {
  readonly priorityClass: InstallConfig["priorityClass"];
}

/** A priority class for sandboxes. */
export class SandboxPriority extends pulumi.ComponentResource {
  constructor(name: string, { priorityClass }: SandboxPriorityArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:SandboxPriority", name, {}, options);
    if (priorityClass.create) {
      new k8s.scheduling.v1.PriorityClass(
        priorityClass.name,
        {
          metadata: { name: priorityClass.name, labels: objectLabels("atoll") },
          value: priorityClass.value,
          preemptionPolicy: priorityClass.preemptionPolicy,
          description: "Sandboxes",
        },
        // The cluster never changes them; pods that exist keep what they were given.
        { parent: this, replaceOnChanges: ["value", "preemptionPolicy"], deleteBeforeReplace: true },
      );
    }
    this.registerOutputs({});
  }
}
