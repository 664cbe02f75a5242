import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";

export interface CrdsArgs {
  readonly install: boolean;
  readonly keep: boolean;
}

/**
 * Definitions outlive an installation, so they belong to a manager with a fixed name: the next
 * installation then owns their fields and may change them.
 */
const FIELD_MANAGER = { "pulumi.com/patchFieldManager": "atoll-installation" };

/** The custom resource definitions. Kept ones are taken up again by the next installation. */
export class Crds extends pulumi.ComponentResource {
  constructor(name: string, { install, keep }: CrdsArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:Crds", name, {}, options);
    for (const { metadata, spec } of install ? [sandboxCrd()] : []) {
      const definition = { metadata: { ...metadata, annotations: FIELD_MANAGER }, spec };
      new k8s.apiextensions.v1.CustomResourceDefinition(
        metadata.name,
        // The extensions of the schema keep their own spelling, which the provider takes as it is.
        definition as object as k8s.apiextensions.v1.CustomResourceDefinitionArgs,
        { parent: this, retainOnDelete: keep },
      );
    }
    this.registerOutputs({});
  }
}
