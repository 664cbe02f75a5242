import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { NamespaceConfig } from "../config.ts";
import { omitEmpty } from "../omit-empty.ts";
import { objectLabels } from "../pods.ts";

/**
 * Sandbox pods need SYS_PTRACE and the installer needs the host, which the cluster's own levels
 * refuse: sandboxes are fenced by admission policies that know them exactly.
 */
const POD_SECURITY = { "pod-security.kubernetes.io/enforce": "privileged" };

export interface NamespacesArgs {
  readonly namespaces: readonly NamespaceConfig[];
}

/** The namespaces that are to be made. */
export class Namespaces extends pulumi.ComponentResource {
  constructor(name: string, { namespaces }: NamespacesArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:Namespaces", name, {}, options);
    for (const { name, keep, labels, annotations } of namespaces.filter(({ create }) => create)) {
      new k8s.core.v1.Namespace(
        name,
        {
          metadata: {
            name,
            labels: { ...POD_SECURITY, ...objectLabels("atoll"), ...labels },
            ...omitEmpty({ annotations }),
          },
        },
        { parent: this, retainOnDelete: keep },
      );
    }
    this.registerOutputs({});
  }
}
