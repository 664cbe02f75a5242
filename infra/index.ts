import * as pulumi from "@pulumi/pulumi";
import { readInstallConfig } from "#infra/config.ts";
import { createInstallation } from "#infra/installation.ts";
import version from "../package.json" with { type: "json" };

/** Keys of this project in the stack's settings, without the project's name. */
const prefix = `${pulumi.getProject()}:`;
const all: Readonly<Record<string, string>> = pulumi.runtime.allConfig();
const own = Object.entries(all).filter(([key]) => key.startsWith(prefix));
const settings = Object.fromEntries(own.map(([key, value]) => [key.slice(prefix.length), value]));

const config = readInstallConfig(settings, version.version);
const cluster = new pulumi.Config("kubernetes");
const kubeconfig = cluster.getSecret("kubeconfig");
const context = cluster.get("context");

createInstallation(config, {
  ...(kubeconfig === undefined ? {} : { kubeconfig }),
  ...(context === undefined ? {} : { context }),
});

/** Where the gateway is reached inside the cluster; empty without one. */
export const gatewayUrl = config.gateway.enabled
  ? `http://${config.gateway.name}.${config.systemNamespace.name}:${config.gateway.service.port}`
  : "";
export const sandboxNamespaces = config.sandboxNamespaces.map(({ name }) => name);
