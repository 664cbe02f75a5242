import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { GATEWAY_NAME } from "#core/kubernetes/names.ts";
import type { InstallConfig } from "../config.ts";
import { objectLabels } from "../pods.ts";

export interface GatewayScalingArgs {
  readonly config: InstallConfig;
}

/** Chooses how many gateways run, by their use of processors. */
export class GatewayScaling extends pulumi.ComponentResource {
  constructor(name: string, { config }: GatewayScalingArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:GatewayScaling", name, {}, options);
    const { gateway } = config;
    const { enabled, minReplicas, maxReplicas, targetCpuPercent } = gateway.autoscaling;
    if (enabled) {
      new k8s.autoscaling.v2.HorizontalPodAutoscaler(
        gateway.name,
        {
          metadata: {
            namespace: config.systemNamespace.name,
            name: gateway.name,
            labels: objectLabels(GATEWAY_NAME),
          },
          spec: {
            scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: gateway.name },
            minReplicas,
            maxReplicas,
            metrics: [
              {
                type: "Resource",
                resource: { name: "cpu", target: { type: "Utilization", averageUtilization: targetCpuPercent } },
              },
            ],
          },
        },
        { parent: this },
      );
    }
    this.registerOutputs({});
  }
}
