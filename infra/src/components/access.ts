import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { PolicyRule } from "#core/kubernetes/policy-rule.ts";
import { omitEmpty } from "../omit-empty.ts";
import { objectLabels } from "../pods.ts";

export interface AccessArgs {
  /** Value of the `name` label. */
  readonly program: string;
  /** Name of the roles. */
  readonly name: string;
  readonly systemNamespace: string;
  readonly serviceAccount: {
    readonly create: boolean;
    readonly name: string;
    readonly annotations: Record<string, string>;
  };
  /** What the account may do: in the whole cluster, and in single namespaces. */
  readonly clusterRules: readonly PolicyRule[];
  readonly namespaceRules: readonly { readonly namespace: string; readonly rules: readonly PolicyRule[] }[];
}

/** A program's account and exactly what it may do: a Role in each namespace, and cluster-wide only what has none. */
export class Access extends pulumi.ComponentResource {
  constructor(name: string, args: AccessArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:Access", name, {}, options);
    const { systemNamespace, serviceAccount } = args;
    const labels = objectLabels(args.program);
    const subjects = [{ kind: "ServiceAccount", name: serviceAccount.name, namespace: systemNamespace }];
    const apiGroup = "rbac.authorization.k8s.io";
    if (serviceAccount.create) {
      new k8s.core.v1.ServiceAccount(
        args.name,
        {
          metadata: {
            namespace: systemNamespace,
            name: serviceAccount.name,
            labels,
            ...omitEmpty({ annotations: serviceAccount.annotations }),
          },
          automountServiceAccountToken: false,
        },
        { parent: this },
      );
    }
    for (const { namespace, rules } of args.namespaceRules.filter(({ rules }) => rules.length > 0)) {
      const metadata = { namespace, name: args.name, labels };
      const role = new k8s.rbac.v1.Role(
        `${args.name}-${namespace}`,
        { metadata, rules: rulesOf(rules) },
        { parent: this },
      );
      new k8s.rbac.v1.RoleBinding(
        `${args.name}-${namespace}`,
        { metadata, roleRef: { apiGroup, kind: "Role", name: args.name }, subjects },
        { parent: this, dependsOn: [role] },
      );
    }
    if (args.clusterRules.length > 0) {
      const metadata = { name: args.name, labels };
      const role = new k8s.rbac.v1.ClusterRole(
        args.name,
        { metadata, rules: rulesOf(args.clusterRules) },
        { parent: this },
      );
      new k8s.rbac.v1.ClusterRoleBinding(
        args.name,
        { metadata, roleRef: { apiGroup, kind: "ClusterRole", name: args.name }, subjects },
        { parent: this, dependsOn: [role] },
      );
    }
    this.registerOutputs({});
  }
}

function rulesOf(rules: readonly PolicyRule[]): k8s.types.input.rbac.v1.PolicyRule[] {
  return rules.map(({ apiGroups, resources, verbs, resourceNames = [] }) => ({
    apiGroups: [...apiGroups],
    resources: [...resources],
    verbs: [...verbs],
    ...omitEmpty({ resourceNames: [...resourceNames] }),
  }));
}
