import * as z from "zod";
import { OPERATOR_NAME } from "#core/kubernetes/names.ts";
import { OperatorEnvironment } from "#operator/manifest.ts";
import { AgentResources } from "./agent-resources.ts";
import { countOf, Flag, LogLevel, metrics, ObjectName, resources, serviceAccount } from "./fields.ts";
import { image } from "./image.ts";
import { PodDisruptionBudget, SCHEDULING } from "./scheduling.ts";

const variables = OperatorEnvironment.shape;

/** The operator: turns Sandbox objects into pods and back. */
export const OperatorConfig = z
  .strictObject({
    name: ObjectName.default(OPERATOR_NAME).describe("Name of the Deployment and of what belongs to it"),
    image: image("atoll-operator"),
    replicas: z.int().min(1).default(1).describe("Pods; one leads, the others stand by"),
    leaderElection: Flag.default(true).describe(
      "Elect a leader; needed with more than one replica and during upgrades",
    ),
    networkCheck: Flag.default(true).describe(
      "Try daily, with two pods that live for seconds in the system namespace, whether the cluster enforces network policies; the operator's right to make them is held by the admission policies",
    ),
    podDisruptionBudget: PodDisruptionBudget,
    resources: resources({ cpu: "50m", memory: "128Mi" }),
    serviceAccount: serviceAccount(OPERATOR_NAME),
    logging: z.strictObject({ level: LogLevel }).prefault({}),
    metrics: metrics(),
    concurrency: countOf(variables.ATOLL_CONCURRENCY).describe("Sandboxes that the leader works on at once"),
    sandboxes: z
      .strictObject({
        agentImage: image("atoll-sidecar").describe("The agent inside each sandbox; of the operator's own build"),
        runtimeClassName: z
          .union([ObjectName, z.literal("")])
          .default("")
          .describe("Runtime class of sandbox pods; empty = `runtimeClass.name`"),
        priorityClassName: z.string().default("").describe("Priority class of sandbox pods; empty = none"),
        imagePullSecrets: z
          .array(ObjectName)
          .default([])
          .describe(
            "Pull secrets of sandbox pods, beside `imagePullSecrets`; they must exist in the sandbox namespaces",
          ),
        agentResources: AgentResources,
        timeoutRetentionSeconds: countOf(variables.ATOLL_TIMEOUT_RETENTION_SECONDS).describe(
          "How long a sandbox stays readable after its lifetime was over",
        ),
        failedRetentionSeconds: countOf(variables.ATOLL_FAILED_RETENTION_SECONDS).describe(
          "How long a sandbox that never started stays readable",
        ),
        finishedRetentionSeconds: countOf(variables.ATOLL_FINISHED_RETENTION_SECONDS).describe(
          "How long a finished sandbox stays readable",
        ),
        provisionalSeconds: countOf(variables.ATOLL_PROVISIONAL_SECONDS).describe(
          "Age at which a sandbox is removed whose creator never got an answer",
        ),
        journalBytes: countOf(variables.ATOLL_SIDECAR_JOURNAL_BYTES).describe(
          "Most bytes of output kept of all commands of one sandbox, on the node's disk",
        ),
      })
      .prefault({}),
    ...SCHEDULING,
  })
  .prefault({});

export type OperatorConfig = z.output<typeof OperatorConfig>;
