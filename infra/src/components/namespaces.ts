import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { NamespaceConfig } from "../config.ts";
import { omitEmpty } from "../omit-empty.ts";
import { objectLabels } from "../pods.ts";

export interface NamespacesArgs {
  readonly system: NamespaceConfig;
  readonly sandboxes: readonly NamespaceConfig[];
  /** Whether a program of the system namespace needs its node: the installer, or the mounter. */
  readonly needsNode: boolean;
}

/** The namespaces that are to be made. */
export class Namespaces extends pulumi.ComponentResource {
  constructor(
    name: string,
    { system, sandboxes, needsNode }: NamespacesArgs,
    options: pulumi.ComponentResourceOptions,
  ) {
    super("atoll:kubernetes:Namespaces", name, {}, options);
    this.#make(system, needsNode ? "privileged" : "restricted");
    // The agent's SYS_PTRACE is in no other level: admission policies that know sandboxes exactly are the fence.
    for (const namespace of sandboxes) this.#make(namespace, "privileged");
    this.registerOutputs({});
  }

  #make({ create, name, keep, labels, annotations }: NamespaceConfig, level: "privileged" | "restricted"): void {
    if (!create) return;
    new k8s.core.v1.Namespace(
      name,
      {
        metadata: {
          name,
          labels: { "pod-security.kubernetes.io/enforce": level, ...objectLabels("atoll"), ...labels },
          ...omitEmpty({ annotations }),
        },
      },
      { parent: this, retainOnDelete: keep },
    );
  }
}
