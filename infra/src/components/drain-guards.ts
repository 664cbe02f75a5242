import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { DRAIN_FINALIZER, DRAIN_GUARD } from "#core/kubernetes/drain-guard.ts";
import { objectLabels } from "../pods.ts";

export interface DrainGuardsArgs {
  readonly namespaces: readonly string[];
  /** Whether a destroy waits for the end of all sandboxes. */
  readonly drain: boolean;
}

/**
 * One guard in each sandbox namespace, made after all that sandboxes need and so destroyed
 * before it: the operator ends all sandboxes before it lets a guard go. Without a drain there is a
 * guard that nobody holds: taking it away would end the sandboxes of an installation that stays.
 */
export class DrainGuards extends pulumi.ComponentResource {
  constructor(name: string, { namespaces, drain }: DrainGuardsArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:DrainGuards", name, {}, options);
    for (const namespace of namespaces) {
      new k8s.core.v1.ConfigMap(
        `${namespace}-drain`,
        {
          metadata: {
            namespace,
            name: DRAIN_GUARD,
            labels: objectLabels("atoll"),
            ...(drain ? { finalizers: [DRAIN_FINALIZER] } : {}),
          },
          data: { purpose: "When this object is deleted, the operator ends all sandboxes of this namespace first." },
        },
        { parent: this, customTimeouts: { delete: "15m" } },
      );
    }
    this.registerOutputs({});
  }
}
