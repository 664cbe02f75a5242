import { SANDBOX_GROUP, SANDBOX_VERSION } from "#api/crd/group.ts";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Resource } from "./client.ts";
import type {
  AdmissionPolicy,
  AdmissionPolicyBinding,
  CustomResourceDefinition,
  Node,
  RuntimeClass,
} from "./cluster-objects.ts";
import type { KubeEvent } from "./event.ts";
import type { Lease } from "./lease.ts";
import type { NetworkPolicy } from "./network-policy.ts";
import type { KubeObject } from "./object.ts";
import type { Pod } from "./pod.ts";
import type { ConfigMap, Secret } from "./secret.ts";

/** `group/version`, plural, kind. */
function namespaced<T extends KubeObject>(apiVersion: string, plural: string, kind: string): Resource<T> {
  return { ...groupVersion(apiVersion), plural, kind, namespaced: true };
}

function clusterWide<T extends KubeObject>(apiVersion: string, plural: string, kind: string): Resource<T> {
  return { ...groupVersion(apiVersion), plural, kind, namespaced: false };
}

function groupVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const [group, version] = apiVersion.split("/");
  return version === undefined ? { group: "", version: apiVersion } : { group: group ?? "", version };
}

/** `apiVersion` of objects of this kind. */
export function apiVersionOf(resource: Pick<Resource<KubeObject>, "group" | "version">): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

const ADMISSION = "admissionregistration.k8s.io/v1";

export const SANDBOXES = namespaced<SandboxResource>(`${SANDBOX_GROUP}/${SANDBOX_VERSION}`, "sandboxes", "Sandbox");
export const ROOTFS_SNAPSHOTS = namespaced<RootfsSnapshotResource>(
  `${SANDBOX_GROUP}/${SANDBOX_VERSION}`,
  "rootfssnapshots",
  "RootfsSnapshot",
);
export const PODS = namespaced<Pod>("v1", "pods", "Pod");
export const SECRETS = namespaced<Secret>("v1", "secrets", "Secret");
export const CONFIG_MAPS = namespaced<ConfigMap>("v1", "configmaps", "ConfigMap");
export const NETWORK_POLICIES = namespaced<NetworkPolicy>("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy");
export const LEASES = namespaced<Lease>("coordination.k8s.io/v1", "leases", "Lease");
export const EVENTS = namespaced<KubeEvent>("events.k8s.io/v1", "events", "Event");
export const NAMESPACES = clusterWide<KubeObject>("v1", "namespaces", "Namespace");
export const NODES = clusterWide<Node>("v1", "nodes", "Node");
export const RUNTIME_CLASSES = clusterWide<RuntimeClass>("node.k8s.io/v1", "runtimeclasses", "RuntimeClass");
export const CRDS = clusterWide<CustomResourceDefinition>(
  "apiextensions.k8s.io/v1",
  "customresourcedefinitions",
  "CustomResourceDefinition",
);
export const VALIDATING_ADMISSION_POLICIES = clusterWide<AdmissionPolicy>(
  ADMISSION,
  "validatingadmissionpolicies",
  "ValidatingAdmissionPolicy",
);
export const VALIDATING_ADMISSION_POLICY_BINDINGS = clusterWide<AdmissionPolicyBinding>(
  ADMISSION,
  "validatingadmissionpolicybindings",
  "ValidatingAdmissionPolicyBinding",
);
