import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { OPERATOR_NAME } from "#core/kubernetes/names.ts";
import {
  OPERATOR_CLUSTER_RULES,
  OPERATOR_NETWORK_TRIAL_RULES,
  OPERATOR_PATHS,
  OPERATOR_PORTS,
  OPERATOR_SANDBOX_NAMESPACE_RULES,
  OPERATOR_SNAPSHOT_CLUSTER_RULES,
  OPERATOR_SNAPSHOT_NAMESPACE_RULES,
  OPERATOR_SYSTEM_NAMESPACE_RULES,
  OperatorEnvironment,
} from "#operator/manifest.ts";
import type { InstallConfig } from "../config.ts";
import { imageReference } from "../config/image.ts";
import { renderEnvironment } from "../environment.ts";
import { objectLabels, programPod, selectorLabels } from "../pods.ts";
import { Access } from "./access.ts";
import { DisruptionBudget } from "./disruption-budget.ts";
import { Metrics } from "./metrics.ts";

/** The cluster's own default, said in full: what nobody owns would stay beside another strategy, which the API server refuses. */
const ROLLING = { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } };
/** Without a leader two operators must not run at once, not even during an upgrade. */
const RECREATE = { type: "Recreate" };

export interface OperatorArgs {
  readonly config: InstallConfig;
}

/** The operator with its account, its rights and its metrics. */
export class Operator extends pulumi.ComponentResource {
  constructor(name: string, { config }: OperatorArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:Operator", name, {}, options);
    const { operator, serviceMonitor } = config;
    const hasSnapshots = config.snapshots.enabled;
    const namespace = config.systemNamespace.name;
    const program = OPERATOR_NAME;
    const access = new Access(
      `${operator.name}-access`,
      {
        program,
        name: operator.name,
        systemNamespace: namespace,
        serviceAccount: operator.serviceAccount,
        clusterRules: [...OPERATOR_CLUSTER_RULES, ...(hasSnapshots ? OPERATOR_SNAPSHOT_CLUSTER_RULES : [])],
        namespaceRules: [
          {
            namespace,
            rules: [...OPERATOR_SYSTEM_NAMESPACE_RULES, ...(operator.networkCheck ? OPERATOR_NETWORK_TRIAL_RULES : [])],
          },
          ...config.sandboxNamespaces.map(({ name }) => ({
            namespace: name,
            rules: [...OPERATOR_SANDBOX_NAMESPACE_RULES, ...(hasSnapshots ? OPERATOR_SNAPSHOT_NAMESPACE_RULES : [])],
          })),
        ],
      },
      { parent: this },
    );
    const deployment = new k8s.apps.v1.Deployment(
      operator.name,
      {
        metadata: { namespace, name: operator.name, labels: objectLabels(program) },
        spec: {
          replicas: operator.replicas,
          revisionHistoryLimit: 3,
          strategy: operator.leaderElection ? ROLLING : RECREATE,
          selector: { matchLabels: selectorLabels(program) },
          template: programPod({
            program,
            image: operator.image,
            defaults: config,
            scheduling: operator,
            resources: operator.resources,
            serviceAccountName: operator.serviceAccount.name,
            environment: operatorEnvironment(config),
            ports: OPERATOR_PORTS,
            probes: { port: OPERATOR_PORTS.health, livePath: OPERATOR_PATHS.live, readyPath: OPERATOR_PATHS.ready },
            terminationGracePeriodSeconds: 30,
          }),
        },
      },
      { parent: this, dependsOn: [access] },
    );
    new DisruptionBudget(
      `${operator.name}-disruption-budget`,
      { program, name: operator.name, namespace, budget: operator.podDisruptionBudget },
      { parent: this },
    );
    new Metrics(
      `${operator.name}-metrics`,
      {
        program,
        name: operator.name,
        namespace,
        service: operator.metrics.service,
        port: OPERATOR_PORTS.metrics,
        path: OPERATOR_PATHS.metrics,
        serviceMonitor,
      },
      { parent: this, dependsOn: [deployment] },
    );
    this.registerOutputs({});
  }
}

function operatorEnvironment(config: InstallConfig) {
  const { operator, snapshots } = config;
  const { sandboxes } = operator;
  const agent = sandboxes.agentResources;
  return renderEnvironment(OperatorEnvironment, {
    ATOLL_POD_NAME: { fieldPath: "metadata.name" },
    ATOLL_METRICS_LISTEN: `0.0.0.0:${OPERATOR_PORTS.metrics}`,
    ATOLL_HEALTH_LISTEN: `0.0.0.0:${OPERATOR_PORTS.health}`,
    ATOLL_LEADER_ELECTION: operator.leaderElection ? "true" : "false",
    ATOLL_SYSTEM_NAMESPACE: config.systemNamespace.name,
    ATOLL_SANDBOX_NAMESPACES: config.sandboxNamespaces.map(({ name }) => name).join(","),
    ATOLL_SIDECAR_IMAGE: imageReference(sandboxes.agentImage, config),
    ATOLL_SIDECAR_IMAGE_PULL_POLICY: sandboxes.agentImage.pullPolicy,
    ATOLL_FENCE_PREFIX: config.admissionPolicies.prefix,
    ATOLL_RUNTIME_CLASS: sandboxes.runtimeClassName,
    ATOLL_PRIORITY_CLASS: sandboxes.priorityClassName,
    ATOLL_IMAGE_PULL_SECRETS: [...new Set([...config.imagePullSecrets, ...sandboxes.imagePullSecrets])].join(","),
    ATOLL_SNAPSHOTS: snapshots.enabled ? "true" : "false",
    ATOLL_RESTORE_PORT: String(snapshots.restorePort),
    ATOLL_RESTORE_FOLDER: snapshots.restoreFolder,
    ATOLL_NETWORK_CHECK: operator.networkCheck ? "true" : "false",
    ATOLL_CONCURRENCY: String(operator.concurrency),
    ATOLL_SIDECAR_CPU_REQUEST: agent.requests.cpu,
    ATOLL_SIDECAR_MEMORY_REQUEST: agent.requests.memory,
    ATOLL_SIDECAR_CPU_LIMIT: agent.limits.cpu,
    ATOLL_SIDECAR_MEMORY_LIMIT: agent.limits.memory,
    ATOLL_TIMEOUT_RETENTION_SECONDS: String(sandboxes.timeoutRetentionSeconds),
    ATOLL_FAILED_RETENTION_SECONDS: String(sandboxes.failedRetentionSeconds),
    ATOLL_FINISHED_RETENTION_SECONDS: String(sandboxes.finishedRetentionSeconds),
    ATOLL_PROVISIONAL_SECONDS: String(sandboxes.provisionalSeconds),
    ATOLL_SIDECAR_JOURNAL_BYTES: String(sandboxes.journalBytes),
    ATOLL_LOG_LEVEL: operator.logging.level,
  });
}
