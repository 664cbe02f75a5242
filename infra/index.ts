import * as pulumi from "@pulumi/pulumi";
import { readInstallConfig, type InstallConfig } from "#infra/config.ts";
import { createInstallation } from "#infra/installation.ts";
import { storeAccess } from "#infra/store-access.ts";
import manifest from "../package.json" with { type: "json" };

const config = readStack();
const cluster = new pulumi.Config("kubernetes");
const kubeconfig = cluster.getSecret("kubeconfig");
const context = cluster.get("context");
const clusterIdentifier = cluster.get("clusterIdentifier");

createInstallation(config, {
  ...(kubeconfig === undefined ? {} : { kubeconfig }),
  ...(context === undefined ? {} : { context }),
  ...(clusterIdentifier === undefined ? {} : { clusterIdentifier }),
});

/** Where the gateway is reached inside the cluster; empty without one. */
export const gatewayUrl = config.gateway.enabled
  ? `http://${config.gateway.name}.${config.systemNamespace.name}:${config.gateway.service.port}`
  : "";
/** What the administrator of the store of snapshots gives to the mounters. */
export const snapshotStoreAccess = storeAccess(config);
export const sandboxNamespaces = config.sandboxNamespaces.map(({ name }) => name);

/** The stack's own settings. What is wrong with them is told without a stack trace. */
function readStack(): InstallConfig {
  const prefix = `${pulumi.getProject()}:`;
  const all: Readonly<Record<string, string>> = pulumi.runtime.allConfig();
  const own = Object.entries(all).filter(([key]) => key.startsWith(prefix));
  try {
    return readInstallConfig(
      Object.fromEntries(own.map(([key, value]) => [key.slice(prefix.length), value])),
      manifest.version,
    );
  } catch (error) {
    throw error instanceof RangeError ? new pulumi.RunError(error.message) : error;
  }
}
