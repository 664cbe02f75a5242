import type { SandboxNetwork, SandboxResource } from "#api/crd/sandbox.ts";
import { LABEL, SANDBOX_APP, SANDBOX_GROUP, SANDBOX_MANAGER, SANDBOX_VERSION } from "./names.ts";
import type { OwnerReference } from "./object.ts";

/** Labels of everything that belongs to one sandbox. Source: the cluster contract. */
export function sandboxLabels(sandbox: string): Record<string, string> {
  return {
    [LABEL.name]: SANDBOX_APP,
    [LABEL.instance]: sandbox,
    [LABEL.component]: "sandbox",
    [LABEL.partOf]: "isola",
    [LABEL.managedBy]: SANDBOX_MANAGER,
    [LABEL.sandbox]: "true",
  };
}

/** Labels by which the static policies select a sandbox's pod. */
export function networkLabels(network: SandboxNetwork | undefined): Record<string, string> {
  const internet = network?.allowInternetEgress === true;
  return {
    ...(internet ? { [LABEL.ipv4Internet]: "true" } : {}),
    ...(internet && network.allowIPv6Egress === true ? { [LABEL.ipv6Internet]: "true" } : {}),
    ...(network?.allowClusterDNS === true ? { [LABEL.clusterDns]: "true" } : {}),
  };
}

/** Makes the sandbox the owner of another object: the one goes with the other. */
export function ownerOf({ metadata }: Pick<SandboxResource, "metadata">): OwnerReference {
  return {
    apiVersion: `${SANDBOX_GROUP}/${SANDBOX_VERSION}`,
    kind: "Sandbox",
    name: metadata.name,
    uid: metadata.uid ?? "",
    controller: true,
    blockOwnerDeletion: true,
  };
}
