import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { serviceAccountUser } from "#core/kubernetes/admission/fence-config.ts";
import { fences } from "#core/kubernetes/admission/fence.ts";
import { TRIAL_COMMANDS } from "#operator/manifest.ts";
import { AGENT_CAPABILITIES, CONTAINER_CAPABILITIES, SIBLING_MARKS } from "#sidecar/manifest.ts";
import type { InstallConfig } from "../config.ts";
import { imageRepository } from "../config/image.ts";

type PolicyArgs = k8s.admissionregistration.v1.ValidatingAdmissionPolicyArgs;
type BindingArgs = k8s.admissionregistration.v1.ValidatingAdmissionPolicyBindingArgs;

export interface AdmissionFenceArgs {
  readonly config: InstallConfig;
}

/** The policies that say what a pod of a sandbox namespace can never have. Without them the operator makes no pod. */
export class AdmissionFence extends pulumi.ComponentResource {
  constructor(name: string, { config }: AdmissionFenceArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:AdmissionFence", name, {}, options);
    const { operator, installer, snapshots } = config;
    const system = config.systemNamespace.name;
    const all = fences({
      sandboxNamespaces: config.sandboxNamespaces.map(({ name }) => name),
      operatorUser: serviceAccountUser(system, operator.serviceAccount.name),
      runtimeClass: operator.sandboxes.runtimeClassName,
      prefix: config.admissionPolicies.prefix,
      ...(operator.networkCheck
        ? {
            networkTrial: {
              namespace: system,
              imageRepository: imageRepository(operator.sandboxes.agentImage, config),
              commands: TRIAL_COMMANDS,
            },
          }
        : {}),
      ...(installer.enabled ? { installerUser: serviceAccountUser(system, installer.serviceAccount.name) } : {}),
      ...(snapshots.enabled
        ? {
            restores: { folder: snapshots.restoreFolder, port: snapshots.restorePort },
            mounterUser: serviceAccountUser(system, snapshots.mounter.serviceAccount.name),
          }
        : {}),
      capabilities: { container: CONTAINER_CAPABILITIES, marks: SIBLING_MARKS, agent: AGENT_CAPABILITIES },
    });
    for (const { policy, binding } of config.admissionPolicies.install ? all : []) {
      const { metadata } = policy;
      const made = new k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
        metadata.name,
        { metadata, spec: policy.spec } as PolicyArgs,
        { parent: this },
      );
      new k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
        metadata.name,
        { metadata: binding.metadata, spec: binding.spec } as BindingArgs,
        { parent: this, dependsOn: [made] },
      );
    }
    this.registerOutputs({});
  }
}
