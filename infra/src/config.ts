import * as z from "zod";
import { SANDBOX_NAMESPACE, SYSTEM_NAMESPACE } from "#core/kubernetes/names.ts";
import { CLUSTER_DNS } from "#core/kubernetes/network-policies.ts";
import { Flag, ObjectName, Port, Text, TextMap } from "./config/fields.ts";
import { GatewayConfig } from "./config/gateway.ts";
import { InstallerConfig, RuntimeClassConfig } from "./config/installer.ts";
import { OperatorConfig } from "./config/operator.ts";
import { SnapshotCredentials, SnapshotsConfig } from "./config/snapshots.ts";

const NAMESPACE = {
  create: Flag.default(true).describe("Make the namespace; false = it exists"),
  keep: Flag.default(false).describe("Leave it, and what others put into it, when the installation is destroyed"),
  labels: TextMap.describe("Its labels, beside those that admit the platform's pods"),
  annotations: TextMap.describe("Its annotations"),
};

const SandboxNamespace = z.strictObject({ name: ObjectName.describe("Its name"), ...NAMESPACE });

/** The whole configuration of an installation; each member is a key of the Pulumi stack. */
export const InstallConfig = z
  .strictObject({
    imageRegistry: z
      .string()
      .default("")
      .describe("Registry and path of all images; empty = images that were loaded onto the nodes"),
    imageTag: Text.default("").describe("Tag of all images; empty = this version"),
    imagePullSecrets: z
      .array(ObjectName)
      .default([])
      .describe("Pull secrets of all pods; they must exist in the namespaces"),
    apiKeys: z
      .array(z.string())
      .default([])
      .describe("API keys of the gateway, set with `--secret`; or name a Secret in `gateway.auth.existingSecret`"),
    snapshotCredentials: SnapshotCredentials,
    crds: z
      .strictObject({
        install: Flag.default(true).describe("Install the custom resource definitions; false = they exist"),
        keep: Flag.default(true).describe(
          "Leave them when the installation is destroyed: without them all Sandbox objects are gone",
        ),
      })
      .prefault({}),
    systemNamespace: z
      .strictObject({ name: ObjectName.default(SYSTEM_NAMESPACE).describe("Its name"), ...NAMESPACE })
      .prefault({}),
    sandboxNamespaces: z
      .array(SandboxNamespace)
      .min(1)
      .prefault([{ name: SANDBOX_NAMESPACE }])
      .describe("Namespaces where sandboxes run"),
    runtimeClass: RuntimeClassConfig,
    installer: InstallerConfig,
    operator: OperatorConfig,
    gateway: GatewayConfig,
    snapshots: SnapshotsConfig,
    admissionPolicies: z
      .strictObject({
        install: Flag.default(true).describe(
          "Install the policies that fence sandbox pods; false = an administrator did: without them no sandbox starts",
        ),
        prefix: ObjectName.default("atoll").describe(
          "Begins their names; another installation in the cluster needs another",
        ),
      })
      .prefault({}),
    networkPolicies: z
      .strictObject({
        sandboxes: Flag.default(true).describe("Install the static network policies of the sandbox namespaces"),
        system: Flag.default(true).describe("Install network policies for the platform's own pods"),
        clusterDns: z
          .strictObject({
            namespace: ObjectName.default(CLUSTER_DNS.namespace).describe("Namespace of the cluster's resolver"),
            podLabels: z.record(z.string(), Text).default(CLUSTER_DNS.podLabels).describe("Labels of its pods"),
          })
          .prefault({}),
        apiServerPorts: z
          .array(Port)
          .min(1)
          .default([443, 6443, 8443, 16_443])
          .describe("Ports where the platform's pods may reach the API server"),
      })
      .prefault({}),
    priorityClass: z
      .strictObject({
        create: Flag.default(false).describe(
          "Make a priority class for sandboxes; name it in `operator.sandboxes.priorityClassName`",
        ),
        name: ObjectName.default("atoll-sandboxes").describe("Its name"),
        value: z.int().max(1_000_000_000).default(0).describe("Its value"),
        preemptionPolicy: z
          .enum(["PreemptLowerPriority", "Never"])
          .default("PreemptLowerPriority")
          .describe("Whether sandboxes push others out"),
      })
      .prefault({}),
    serviceMonitor: z
      .strictObject({
        enabled: Flag.default(false).describe(
          "Make ServiceMonitors of the Prometheus operator, which must be installed",
        ),
        additionalLabels: TextMap.describe("Their labels, by which Prometheus finds them"),
        interval: z
          .string()
          .regex(/^\d+(ms|s|m)$/)
          .default("30s")
          .describe("Time between two scrapes"),
      })
      .prefault({}),
    drainOnDestroy: Flag.default(true).describe(
      "End all sandboxes first when the installation is destroyed; false = destroy needs them to be gone",
    ),
  })
  .superRefine((config, context) => {
    const fault = (path: readonly (string | number)[], message: string): void =>
      context.addIssue({ code: "custom", path: [...path], message });
    const names = config.sandboxNamespaces.map(({ name }) => name);
    if (new Set(names).size < names.length) fault(["sandboxNamespaces"], "a namespace is named twice");
    if (names.includes(config.systemNamespace.name)) {
      fault(
        ["sandboxNamespaces"],
        `${config.systemNamespace.name} is the system namespace: sandboxes need one of their own`,
      );
    }
    const served = config.gateway.sandboxNamespace;
    if (served !== "" && !names.includes(served)) {
      fault(["gateway", "sandboxNamespace"], `${served} is not one of sandboxNamespaces`);
    }
    if (config.operator.replicas > 1 && !config.operator.leaderElection) {
      fault(["operator", "leaderElection"], "more than one replica needs a leader");
    }
    const { store, mounter, runsc } = config.snapshots;
    if (store.anonymous && (store.existingSecret !== "" || Object.keys(config.snapshotCredentials).length > 0)) {
      fault(["snapshots", "store", "anonymous"], "credentials are given as well");
    }
    if (config.snapshots.enabled && runsc.binaryPath === "" && !config.installer.enabled) {
      fault(["snapshots", "runsc", "binaryPath"], "without the installer the nodes' runsc must be named");
    }
    const accounts = [config.operator, config.gateway, config.installer].map((program) => program.serviceAccount.name);
    if (config.snapshots.enabled && accounts.includes(mounter.serviceAccount.name)) {
      fault(["snapshots", "mounter", "serviceAccount", "name"], "the mounter needs an account of its own");
    }
    const { existingSecret, insecureNoAuth } = config.gateway.auth;
    if (config.gateway.enabled && config.apiKeys.length === 0 && existingSecret === "" && !insecureNoAuth) {
      fault(
        ["apiKeys"],
        "the gateway needs API keys: `pulumi config set --secret --path 'apiKeys[0]' KEY`, or gateway.auth.existingSecret, or gateway.auth.insecureNoAuth",
      );
    }
    if (config.apiKeys.some((key) => key.trim() !== key || key.length < 16 || /\s/.test(key))) {
      fault(["apiKeys"], "an API key has at least 16 characters and no white space");
    }
  });

export type InstallConfig = z.output<typeof InstallConfig>;
export type NamespaceConfig = z.output<typeof SandboxNamespace>;

/** Members that are plain text in a stack's settings; the others are JSON. */
const PLAIN = new Set(["imageRegistry", "imageTag"]);

/**
 * Reads the keys of a stack. All faults are in one message; a key that nobody knows is one of them.
 * `settings` are the stack's own keys without the project's name; `version` is the default tag.
 */
export function readInstallConfig(settings: Readonly<Record<string, string>>, version: string): InstallConfig {
  const faults: string[] = [];
  const given: Record<string, unknown> = {};
  for (const [key, text] of Object.entries(settings)) {
    try {
      given[key] = PLAIN.has(key) ? text : JSON.parse(text);
    } catch {
      faults.push(`${key}: expected a structure, as \`pulumi config set --path '${key}.…'\` makes it`);
    }
  }
  const result = InstallConfig.safeParse(given);
  for (const { path, message } of result.error?.issues ?? [])
    faults.push(path.length === 0 ? message : `${path.join(".")}: ${message}`);
  if (result.data === undefined || faults.length > 0) {
    throw new RangeError(`Cannot use the configuration of this stack: ${faults.join("; ")}`);
  }
  const { imageTag, gateway, operator, runtimeClass, sandboxNamespaces, snapshots, installer } = result.data;
  return Object.freeze({
    ...result.data,
    imageTag: imageTag === "" ? version : imageTag,
    operator: {
      ...operator,
      sandboxes: { ...operator.sandboxes, runtimeClassName: operator.sandboxes.runtimeClassName || runtimeClass.name },
    },
    snapshots: {
      ...snapshots,
      runsc: { ...snapshots.runsc, binaryPath: snapshots.runsc.binaryPath || `${installer.gvisorDir}/current/runsc` },
    },
    gateway: {
      ...gateway,
      sandboxNamespace: gateway.sandboxNamespace || (sandboxNamespaces[0]?.name ?? SANDBOX_NAMESPACE),
    },
  });
}
