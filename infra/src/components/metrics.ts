import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { InstallConfig } from "../config.ts";
import { omitEmpty } from "../omit-empty.ts";
import { objectLabels, selectorLabels } from "../pods.ts";

export interface MetricsArgs {
  readonly program: string;
  readonly name: string;
  readonly namespace: string;
  readonly service: { readonly enabled: boolean; readonly type: string; readonly nodePort?: number | undefined };
  readonly port: number;
  readonly path: string;
  readonly serviceMonitor: InstallConfig["serviceMonitor"];
}

/** A Service for a program's metrics, and who scrapes it. */
export class Metrics extends pulumi.ComponentResource {
  constructor(name: string, args: MetricsArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:Metrics", name, {}, options);
    const labels = { ...objectLabels(args.program), "app.kubernetes.io/component": "metrics" };
    const metadata = { namespace: args.namespace, name: `${args.name}-metrics`, labels };
    if (args.service.enabled) {
      new k8s.core.v1.Service(
        metadata.name,
        {
          metadata,
          spec: {
            type: args.service.type,
            selector: selectorLabels(args.program),
            ports: [
              {
                name: "metrics",
                port: args.port,
                targetPort: "metrics",
                protocol: "TCP",
                ...omitEmpty({ nodePort: args.service.nodePort }),
              },
            ],
          },
        },
        { parent: this },
      );
    }
    if (args.service.enabled && args.serviceMonitor.enabled) {
      new k8s.apiextensions.CustomResource(
        metadata.name,
        {
          apiVersion: "monitoring.coreos.com/v1",
          kind: "ServiceMonitor",
          metadata: { ...metadata, labels: { ...labels, ...args.serviceMonitor.additionalLabels } },
          spec: {
            selector: { matchLabels: labels },
            endpoints: [{ port: "metrics", path: args.path, interval: args.serviceMonitor.interval }],
          },
        },
        { parent: this },
      );
    }
    this.registerOutputs({});
  }
}
