import { SANDBOX_GROUP, SNAPSHOT_COLLECTOR_LEASE } from "#core/kubernetes/names.ts";
import type { PolicyRule } from "#core/kubernetes/policy-rule.ts";

const READ = ["get", "list", "watch"];

/**
 * What the mounters may do in each namespace of sandboxes. Which objects, and which of their members,
 * says an admission policy: rights know neither.
 */
export const MOUNTER_SANDBOX_NAMESPACE_RULES: readonly PolicyRule[] = [
  { apiGroups: [""], resources: ["pods"], verbs: READ },
  { apiGroups: [SANDBOX_GROUP], resources: ["sandboxes"], verbs: READ },
  // A patch of the object itself takes the finalizer off whose data is removed.
  { apiGroups: [SANDBOX_GROUP], resources: ["rootfssnapshots"], verbs: [...READ, "patch"] },
  { apiGroups: [SANDBOX_GROUP], resources: ["sandboxes/status", "rootfssnapshots/status"], verbs: ["patch"] },
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
];

/** What they may do in the platform's own namespace: agree on who of them collects. */
export const MOUNTER_SYSTEM_NAMESPACE_RULES: readonly PolicyRule[] = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    verbs: [...READ, "update"],
    resourceNames: [SNAPSHOT_COLLECTOR_LEASE],
  },
];
