import type { types } from "@pulumi/kubernetes";
import * as z from "zod";
import { Flag, Text, TextMap } from "./fields.ts";

const Toleration = z.strictObject({
  key: z.string().optional(),
  operator: z.enum(["Exists", "Equal"]).optional(),
  value: Text.optional(),
  effect: z.enum(["NoSchedule", "PreferNoSchedule", "NoExecute"]).optional(),
  tolerationSeconds: z.int().optional(),
});

/** Where pods may run, and what they carry. The fields mean what they mean in Kubernetes. */
export const SCHEDULING = {
  nodeSelector: TextMap.describe("Labels that nodes must have, beside that of Linux"),
  tolerations: z.array(Toleration).default([]).describe("Taints of nodes that do not matter"),
  affinity: z
    .custom<types.input.core.v1.Affinity>(
      (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    )
    .default({})
    .describe("Affinity, as in a pod"),
  topologySpreadConstraints: z
    .array(
      z.custom<types.input.core.v1.TopologySpreadConstraint>((value) => typeof value === "object" && value !== null),
    )
    .default([])
    .describe("How pods spread, as in a pod; empty = over nodes, where possible"),
  podAnnotations: TextMap.describe("Annotations of the pods"),
  podLabels: TextMap.describe("Labels of the pods, beside the platform's own"),
  priorityClassName: z.string().default("").describe("Priority class of the pods; empty = none"),
};

const Scheduling = z.strictObject(SCHEDULING);
export type SchedulingConfig = z.output<typeof Scheduling>;

/** How many pods an eviction leaves. */
export const PodDisruptionBudget = z
  .strictObject({
    enabled: Flag.default(false).describe("Make a PodDisruptionBudget"),
    minAvailable: z.int().min(0).default(1).describe("Pods that an eviction leaves"),
  })
  .prefault({});
