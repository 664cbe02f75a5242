import type { ObjectMeta } from "#api/crd/object.ts";

export type { Condition, ObjectMeta, OwnerReference } from "#api/crd/object.ts";

/** Any object of the Kubernetes API. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}
