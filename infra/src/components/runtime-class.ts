import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { RuntimeClassConfig } from "../config/installer.ts";
import { objectLabels } from "../pods.ts";

export interface SandboxRuntimeClassArgs {
  readonly runtimeClass: RuntimeClassConfig;
}

/** The runtime class of sandboxes: it also keeps them to nodes where gVisor works. */
export class SandboxRuntimeClass extends pulumi.ComponentResource {
  constructor(name: string, { runtimeClass }: SandboxRuntimeClassArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:RuntimeClass", name, {}, options);
    const { install, nodeSelector } = runtimeClass;
    if (install) {
      new k8s.node.v1.RuntimeClass(
        runtimeClass.name,
        {
          metadata: { name: runtimeClass.name, labels: objectLabels("atoll") },
          handler: runtimeClass.handler,
          ...(Object.keys(nodeSelector).length === 0 ? {} : { scheduling: { nodeSelector } }),
        },
        // The cluster never changes a handler; pods that run do not need the class any more.
        { parent: this, replaceOnChanges: ["handler"], deleteBeforeReplace: true },
      );
    }
    this.registerOutputs({});
  }
}
