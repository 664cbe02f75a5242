import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { GATEWAY_NAME } from "#core/kubernetes/names.ts";
import type { InstallConfig } from "../config.ts";
import { omitEmpty } from "../omit-empty.ts";
import { objectLabels, selectorLabels } from "../pods.ts";

export interface GatewayServiceArgs {
  readonly config: InstallConfig;
}

/** How clients reach the gateway: a Service and, if asked for, an Ingress. */
export class GatewayService extends pulumi.ComponentResource {
  constructor(name: string, { config }: GatewayServiceArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:GatewayService", name, {}, options);
    const { gateway } = config;
    const { service, ingress } = gateway;
    const metadata = { namespace: config.systemNamespace.name, name: gateway.name, labels: objectLabels(GATEWAY_NAME) };
    new k8s.core.v1.Service(
      gateway.name,
      {
        metadata: { ...metadata, ...omitEmpty({ annotations: service.annotations }) },
        spec: {
          type: service.type,
          selector: selectorLabels(GATEWAY_NAME),
          ports: [
            {
              name: "http",
              port: service.port,
              targetPort: "http",
              protocol: "TCP",
              ...omitEmpty({ nodePort: service.nodePort }),
            },
          ],
          ...omitEmpty({
            loadBalancerClass: service.loadBalancerClass,
            loadBalancerSourceRanges: service.loadBalancerSourceRanges,
          }),
        },
      },
      { parent: this },
    );
    if (ingress.enabled) {
      const backend = { service: { name: gateway.name, port: { name: "http" } } };
      new k8s.networking.v1.Ingress(
        gateway.name,
        {
          // Not every controller reports an address, and waiting for one would fail the whole update.
          metadata: { ...metadata, annotations: { "pulumi.com/skipAwait": "true", ...ingress.annotations } },
          spec: {
            rules: ingress.hosts.map((host) => ({
              host,
              http: { paths: [{ path: "/", pathType: "Prefix", backend }] },
            })),
            ...omitEmpty({
              ingressClassName: ingress.className,
              tls: ingress.tlsSecret === "" ? [] : [{ hosts: ingress.hosts, secretName: ingress.tlsSecret }],
            }),
          },
        },
        { parent: this },
      );
    }
    this.registerOutputs({});
  }
}
