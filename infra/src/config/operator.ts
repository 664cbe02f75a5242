import * as z from "zod";
import { OPERATOR_NAME, RUNTIME_CLASS } from "#core/kubernetes/names.ts";
import { Flag, LogLevel, NodePort, ObjectName, resources, serviceAccount, ServiceType } from "./fields.ts";
import { image } from "./image.ts";
import { PodDisruptionBudget, SCHEDULING } from "./scheduling.ts";

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
    metrics: z
      .strictObject({
        service: z
          .strictObject({
            enabled: Flag.default(true).describe("Make a Service for the metrics"),
            type: ServiceType.default("ClusterIP").describe("Type of that Service"),
            nodePort: NodePort,
          })
          .prefault({}),
      })
      .prefault({}),
    sandboxes: z
      .strictObject({
        agentImage: image("atoll-sidecar").describe("The agent inside each sandbox; of the operator's own build"),
        runtimeClassName: ObjectName.default(RUNTIME_CLASS).describe("Runtime class of sandbox pods"),
        priorityClassName: z.string().default("").describe("Priority class of sandbox pods; empty = none"),
        imagePullSecrets: z
          .array(ObjectName)
          .default([])
          .describe(
            "Pull secrets of sandbox pods, beside `imagePullSecrets`; they must exist in the sandbox namespaces",
          ),
        failedRetentionSeconds: z
          .int()
          .min(0)
          .default(3600)
          .describe("How long a sandbox that never started stays readable"),
        finishedRetentionSeconds: z.int().min(0).default(86_400).describe("How long a finished sandbox stays readable"),
        journalBytes: z
          .int()
          .min(2 ** 20)
          .default(2 ** 30)
          .describe("Most bytes of output kept of all commands of one sandbox, on the node's disk"),
      })
      .prefault({}),
    ...SCHEDULING,
  })
  .prefault({});

export type OperatorConfig = z.output<typeof OperatorConfig>;
