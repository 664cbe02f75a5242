import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { rootfsSnapshotCrd } from "#api/crd/rootfs-snapshot-crd.ts";
import { sandboxCrd } from "#api/crd/sandbox-crd.ts";

export interface CrdsArgs {
  readonly install: boolean;
  readonly keep: boolean;
}

/**
 * Definitions outlive an installation, so they belong to a manager with a fixed name. The provider
 * changes a definition by replacing it and takes one up by applying, which the API server holds for
 * two managers: the next installation takes all fields, or it could not change what it finds.
 */
const TAKEN_UP = {
  "pulumi.com/patchFieldManager": "atoll-installation",
  "pulumi.com/patchForce": "true",
};

/** The custom resource definitions. Kept ones are taken up again by the next installation. */
export class Crds extends pulumi.ComponentResource {
  constructor(name: string, { install, keep }: CrdsArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:Crds", name, {}, options);
    for (const { metadata, spec } of install ? [sandboxCrd(), rootfsSnapshotCrd()] : []) {
      const definition = { metadata: { ...metadata, annotations: TAKEN_UP }, spec };
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
