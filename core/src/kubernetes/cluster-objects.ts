import type { Condition, KubeObject } from "./object.ts";

/** A node as far as the platform reads it. */
export interface Node extends KubeObject {
  readonly spec?: { readonly unschedulable?: boolean };
  readonly status?: {
    readonly conditions?: readonly Pick<Condition, "type" | "status">[];
    readonly nodeInfo?: { readonly containerRuntimeVersion?: string; readonly kubeletVersion?: string };
  };
}

export interface RuntimeClass extends KubeObject {
  /** Name of the handler in the node's container engine. */
  readonly handler: string;
}

/** `apiextensions.k8s.io/v1` CustomResourceDefinition. */
export interface CustomResourceDefinition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly scope: "Namespaced" | "Cluster";
    readonly names: {
      readonly plural: string;
      readonly singular: string;
      readonly kind: string;
      readonly listKind: string;
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
    readonly versions: readonly CrdVersion[];
  };
  readonly status?: { readonly conditions?: readonly Pick<Condition, "type" | "status" | "reason" | "message">[] };
}

export interface CrdVersion {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly schema: { readonly openAPIV3Schema: object };
  readonly subresources?: { readonly status?: object };
  readonly additionalPrinterColumns?: readonly {
    readonly name: string;
    readonly type: "string" | "date" | "integer";
    readonly jsonPath: string;
    readonly description?: string;
    readonly priority?: number;
  }[];
}

/** `admissionregistration.k8s.io/v1` ValidatingAdmissionPolicy. */
export interface AdmissionPolicy extends KubeObject {
  readonly spec: AdmissionPolicySpec;
  readonly status?: {
    readonly observedGeneration?: number;
    readonly typeChecking?: { readonly expressionWarnings?: readonly { fieldRef: string; warning: string }[] };
  };
}

export interface AdmissionPolicySpec {
  readonly failurePolicy: "Fail" | "Ignore";
  readonly matchConstraints: { readonly resourceRules: readonly AdmissionRule[] };
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
  readonly variables?: readonly { readonly name: string; readonly expression: string }[];
  readonly validations: readonly AdmissionValidation[];
}

export interface AdmissionRule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly operations: readonly ("CREATE" | "UPDATE" | "DELETE" | "CONNECT")[];
  readonly resources: readonly string[];
}

export interface AdmissionValidation {
  readonly expression: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: "Unauthorized" | "Forbidden" | "Invalid" | "RequestEntityTooLarge";
}

export interface AdmissionPolicyBinding extends KubeObject {
  readonly spec: {
    readonly policyName: string;
    readonly validationActions: readonly ("Deny" | "Warn" | "Audit")[];
    readonly matchResources?: {
      readonly namespaceSelector?: {
        readonly matchExpressions: readonly {
          readonly key: string;
          readonly operator: "In" | "NotIn";
          readonly values: readonly string[];
        }[];
      };
    };
  };
}
