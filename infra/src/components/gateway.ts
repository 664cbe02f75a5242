import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { GATEWAY_NAME } from "#core/kubernetes/names.ts";
import {
  GATEWAY_PATHS,
  GATEWAY_PORTS,
  GATEWAY_SANDBOX_NAMESPACE_RULES,
  GATEWAY_SNAPSHOT_RULES,
  GATEWAY_SYSTEM_NAMESPACE_RULES,
  GatewayEnvironment,
} from "#runtime/manifest.ts";
import type { InstallConfig } from "../config.ts";
import { renderEnvironment } from "../environment.ts";
import { objectLabels, programPod, selectorLabels } from "../pods.ts";
import { Access } from "./access.ts";
import { ApiKeys } from "./api-keys.ts";
import { DisruptionBudget } from "./disruption-budget.ts";
import { GatewayScaling } from "./gateway-scaling.ts";
import { GatewayService } from "./gateway-service.ts";
import { Metrics } from "./metrics.ts";

/** Where the gateway's pod has its Secrets. */
const API_KEYS_FOLDER = "/etc/atoll/api-keys";

export interface GatewayArgs {
  readonly config: InstallConfig;
}

/** The gateway with its account, its rights, its keys, its Service and its metrics. */
export class Gateway extends pulumi.ComponentResource {
  constructor(name: string, { config }: GatewayArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:Gateway", name, {}, options);
    const { gateway } = config;
    const namespace = config.systemNamespace.name;
    const program = GATEWAY_NAME;
    const apiKeys = new ApiKeys(`${gateway.name}-api-keys`, { config }, { parent: this });
    const access = new Access(
      `${gateway.name}-access`,
      {
        program,
        name: gateway.name,
        systemNamespace: namespace,
        serviceAccount: gateway.serviceAccount,
        clusterRules: [],
        namespaceRules: [
          { namespace, rules: GATEWAY_SYSTEM_NAMESPACE_RULES },
          {
            namespace: gateway.sandboxNamespace,
            rules: [...GATEWAY_SANDBOX_NAMESPACE_RULES, ...(config.snapshots.enabled ? GATEWAY_SNAPSHOT_RULES : [])],
          },
        ],
      },
      { parent: this },
    );
    const hasKeys = !gateway.auth.insecureNoAuth;
    const deployment = new k8s.apps.v1.Deployment(
      gateway.name,
      {
        metadata: {
          namespace,
          name: gateway.name,
          labels: objectLabels(program),
          // An autoscaler that was switched off still owns the number: without force it stays so for good.
          ...(gateway.autoscaling.enabled ? {} : { annotations: { "pulumi.com/patchForce": "true" } }),
        },
        spec: {
          // An autoscaler owns the number: a program that set it too would fight it on every update.
          ...(gateway.autoscaling.enabled ? {} : { replicas: gateway.replicas }),
          revisionHistoryLimit: 3,
          // Clients keep an answering gateway through every upgrade.
          strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
          selector: { matchLabels: selectorLabels(program) },
          template: programPod({
            program,
            image: gateway.image,
            defaults: config,
            scheduling: gateway,
            resources: gateway.resources,
            serviceAccountName: gateway.serviceAccount.name,
            environment: gatewayEnvironment(config),
            ports: GATEWAY_PORTS,
            probes: { port: GATEWAY_PORTS.http, livePath: GATEWAY_PATHS.live, readyPath: GATEWAY_PATHS.ready },
            terminationGracePeriodSeconds: 30,
            secretFolders: hasKeys
              ? { [API_KEYS_FOLDER]: { secret: apiKeys.secret, items: { [apiKeys.member]: "keys" } } }
              : {},
          }),
        },
      },
      { parent: this, dependsOn: [access, apiKeys] },
    );
    new GatewayScaling(`${gateway.name}-scaling`, { config }, { parent: this, dependsOn: [deployment] });
    new DisruptionBudget(
      `${gateway.name}-disruption-budget`,
      { program, name: gateway.name, namespace, budget: gateway.podDisruptionBudget },
      { parent: this },
    );
    new GatewayService(`${gateway.name}-service`, { config }, { parent: this, dependsOn: [deployment] });
    new Metrics(
      `${gateway.name}-metrics`,
      {
        program,
        name: gateway.name,
        namespace,
        service: gateway.metrics.service,
        port: GATEWAY_PORTS.metrics,
        path: GATEWAY_PATHS.metrics,
        serviceMonitor: config.serviceMonitor,
      },
      { parent: this, dependsOn: [deployment] },
    );
    this.registerOutputs({});
  }
}

function gatewayEnvironment(config: InstallConfig) {
  const { gateway } = config;
  const { auth } = gateway;
  return renderEnvironment(GatewayEnvironment, {
    ATOLL_BACKEND: "kubernetes",
    ATOLL_LISTEN: `0.0.0.0:${GATEWAY_PORTS.http}`,
    ATOLL_METRICS_LISTEN: `0.0.0.0:${GATEWAY_PORTS.metrics}`,
    ATOLL_SANDBOX_NAMESPACE: gateway.sandboxNamespace,
    ATOLL_SYSTEM_NAMESPACE: config.systemNamespace.name,
    ATOLL_SNAPSHOTS: config.snapshots.enabled ? "true" : "false",
    ATOLL_API_KEYS_FILE: auth.insecureNoAuth ? "" : `${API_KEYS_FOLDER}/keys`,
    ATOLL_INSECURE_NO_AUTH: auth.insecureNoAuth ? "true" : "false",
    ATOLL_ALLOWED_HOSTS: auth.allowedHosts.join(","),
    ATOLL_CREATE_WAIT_MS: String(gateway.createWaitMs),
    ATOLL_MAX_STREAMS: String(gateway.maxStreams),
    ATOLL_MAX_STREAMS_PER_SANDBOX: String(gateway.maxStreamsPerSandbox),
    ATOLL_LOG_LEVEL: gateway.logging.level,
  });
}
