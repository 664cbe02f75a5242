import * as z from "zod";
import { GVISOR_NODE_LABEL, RUNTIME_CLASS, RUNTIME_HANDLER } from "#core/kubernetes/names.ts";
import { InstallerEnvironment } from "#installer/manifest.ts";
import { countOf, Flag, LogLevel, ObjectName, resources, serviceAccount, TextMap } from "./fields.ts";
import { image } from "./image.ts";
import { SCHEDULING } from "./scheduling.ts";

const variables = InstallerEnvironment.shape;
const INSTALLER_NAME = "atoll-installer";

/** What stands for a service of a cloud takes no DaemonSet, and an update would wait for it. */
export const REAL_NODES = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [
        {
          matchExpressions: [
            { key: "eks.amazonaws.com/compute-type", operator: "NotIn", values: ["fargate"] },
            { key: "type", operator: "NotIn", values: ["virtual-kubelet"] },
          ],
        },
      ],
    },
  },
};

const HostPath = z.string().regex(/^\/[^\s"'\\]*$/, "Expected an absolute path without spaces and quotes");

/** The runtime class of sandboxes. */
export const RuntimeClassConfig = z
  .strictObject({
    install: Flag.default(true).describe("Make the runtime class; false = it exists"),
    name: ObjectName.default(RUNTIME_CLASS).describe("Its name"),
    handler: z.string().min(1).default(RUNTIME_HANDLER).describe("Handler in the nodes' containerd"),
    nodeSelector: TextMap.default({ [GVISOR_NODE_LABEL]: "true" }).describe(
      "Labels of nodes where it works; the installer sets the default one",
    ),
  })
  .prefault({});

/** The DaemonSet that brings gVisor to the nodes. */
export const InstallerConfig = z
  .strictObject({
    enabled: Flag.default(true).describe("Bring gVisor to the nodes; false = the nodes have it"),
    name: ObjectName.default(INSTALLER_NAME).describe("Name of the DaemonSet"),
    image: image("atoll-installer"),
    mode: z
      .enum(["install", "uninstall"])
      .default("install")
      .describe("`uninstall` takes gVisor from the nodes; do it, and wait, before the installation is destroyed"),
    gvisorDir: HostPath.default("/opt/atoll/gvisor").describe("Folder on the nodes for gVisor's programs"),
    containerd: z
      .strictObject({
        config: HostPath.optional().describe(
          "containerd's configuration on the nodes; absent = the one it was started with",
        ),
        socket: HostPath.optional().describe(
          "containerd's socket on the nodes; absent = the one its configuration names",
        ),
        restart: z
          .enum(["auto", "signal"])
          .default("auto")
          .describe(
            "`auto` = through systemd, k3s or RKE2; `signal` asks the process to end where something else starts it again",
          ),
        restartTimeoutSeconds: countOf(variables.ATOLL_RESTART_TIMEOUT_SECONDS).describe(
          "Longest wait for containerd after a restart",
        ),
        cgroupDriver: z
          .enum(["auto", "systemd", "cgroupfs"])
          .default("auto")
          .describe("How control groups are made; `auto` = as containerd and kubelet are set"),
      })
      .prefault({}),
    checkSeconds: countOf(variables.ATOLL_CHECK_SECONDS).describe("How often a node is checked again"),
    networkTimeoutSeconds: countOf(variables.ATOLL_NETWORK_TIMEOUT_SECONDS).describe(
      "Longest wait for a new node's pod network before gVisor is tried",
    ),
    resources: resources({ cpu: "10m", memory: "64Mi" }),
    serviceAccount: serviceAccount(INSTALLER_NAME),
    logging: z.strictObject({ level: LogLevel }).prefault({}),
    maxUnavailable: z
      .union([z.int().min(1), z.string().regex(/^\d{1,3}%$/)])
      .default("10%")
      .describe("Nodes that are set up at the same time during an upgrade; of a share at least one"),
    ...SCHEDULING,
    affinity: SCHEDULING.affinity
      .unwrap()
      .default(REAL_NODES)
      .describe("Affinity, as in a pod; the default leaves out nodes that are none, such as Fargate's"),
    tolerations: SCHEDULING.tolerations
      .unwrap()
      .default([{ operator: "Exists", effect: "NoSchedule" }])
      .describe("Taints of nodes that do not matter"),
  })
  .prefault({});

export type RuntimeClassConfig = z.output<typeof RuntimeClassConfig>;
export type InstallerConfig = z.output<typeof InstallerConfig>;
