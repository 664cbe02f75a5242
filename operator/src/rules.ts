import { DRAIN_GUARD } from "#core/kubernetes/drain-guard.ts";
import { AGENT_KEYS_SECRET, NETWORK_TRIAL, SANDBOX_GROUP } from "#core/kubernetes/names.ts";
import type { PolicyRule } from "#core/kubernetes/policy-rule.ts";

export type { PolicyRule };

/** The lease by which replicas elect a leader. Source: the cluster contract. */
export const OPERATOR_LEASE = "3e5ad6c4.isola.run";

const READ = ["get", "list", "watch"];
const EVENTS: PolicyRule = { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] };

/** What the operator may do in each namespace of sandboxes. */
export const OPERATOR_SANDBOX_NAMESPACE_RULES: readonly PolicyRule[] = [
  { apiGroups: [SANDBOX_GROUP], resources: ["sandboxes"], verbs: [...READ, "patch", "delete"] },
  { apiGroups: [SANDBOX_GROUP], resources: ["sandboxes/status"], verbs: ["patch"] },
  // Owner references that hold back the owner's deletion need it where the cluster enforces them.
  { apiGroups: [SANDBOX_GROUP], resources: ["sandboxes/finalizers"], verbs: ["update"] },
  { apiGroups: [""], resources: ["pods"], verbs: [...READ, "create", "delete"] },
  {
    apiGroups: ["networking.k8s.io"],
    resources: ["networkpolicies"],
    verbs: [...READ, "create", "patch", "delete"],
  },
  { apiGroups: [""], resources: ["configmaps"], verbs: [...READ, "patch"], resourceNames: [DRAIN_GUARD] },
  // Where no snapshots are taken, records fail at once, and go after their time.
  { apiGroups: [SANDBOX_GROUP], resources: ["rootfssnapshots"], verbs: [...READ, "delete"] },
  { apiGroups: [SANDBOX_GROUP], resources: ["rootfssnapshots/status"], verbs: ["patch"] },
  EVENTS,
];

/** What it may do there besides, where snapshots are taken. */
export const OPERATOR_SNAPSHOT_NAMESPACE_RULES: readonly PolicyRule[] = [
  // A patch lets the record of a last snapshot outlive its sandbox.
  { apiGroups: [SANDBOX_GROUP], resources: ["rootfssnapshots"], verbs: ["create", "patch"] },
];

/** What it may do in the whole cluster besides, where snapshots are taken: see whether a node is gone. */
export const OPERATOR_SNAPSHOT_CLUSTER_RULES: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["nodes"], verbs: ["get"] },
];

/** What the operator may do in its own namespace. */
export const OPERATOR_SYSTEM_NAMESPACE_RULES: readonly PolicyRule[] = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    verbs: [...READ, "update"],
    resourceNames: [OPERATOR_LEASE],
  },
  { apiGroups: [""], resources: ["secrets"], verbs: ["get", "patch"], resourceNames: [AGENT_KEYS_SECRET] },
  EVENTS,
];

/**
 * What the trial of network policies needs there besides. A right to create knows no names:
 * the admission policies say which pods and which policy, to the letter.
 */
export const OPERATOR_NETWORK_TRIAL_RULES: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["pods"], verbs: ["create"] },
  {
    apiGroups: [""],
    resources: ["pods"],
    verbs: ["get", "delete"],
    resourceNames: [NETWORK_TRIAL.server, NETWORK_TRIAL.client],
  },
  // Whose policies have a say in the trial, too.
  { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["list", "create"] },
  {
    apiGroups: ["networking.k8s.io"],
    resources: ["networkpolicies"],
    verbs: ["delete"],
    resourceNames: [NETWORK_TRIAL.policy],
  },
];

/** What the operator may do in the whole cluster: look at what holds sandboxes in. */
export const OPERATOR_CLUSTER_RULES: readonly PolicyRule[] = [
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
    verbs: READ,
  },
  { apiGroups: ["node.k8s.io"], resources: ["runtimeclasses"], verbs: READ },
];
