import * as z from "zod";
import { ContainerName, PositiveSeconds, SnapshotName } from "../scalars.ts";
import { SnapshotBase, SnapshotWriteId } from "../snapshot-manifest.ts";
import { celRules, immutable } from "./cel.ts";
import { Condition, type ObjectMeta } from "./object.ts";

const StringMap = z.record(z.string(), z.string());

/** A pod gets no longer for its polite end, whatever its template says: a lifetime would mean little. */
export const MOST_GRACE_SECONDS = 300;

/** A container of the template: any member of a Kubernetes container may stand beside these. */
const TemplateContainer = z.looseObject({
  name: ContainerName.meta(
    celRules({
      rule: "self != 'sandbox-sidecar'",
      message: "the name sandbox-sidecar belongs to the sandbox's agent: choose another",
    }),
  ),
  image: z.string().min(1).max(4096),
});

/** A Kubernetes pod template; the API server keeps every member and checks only what is named here. */
export const PodTemplate = z
  .looseObject({
    metadata: z
      .looseObject({ labels: StringMap.exactOptional(), annotations: StringMap.exactOptional() })
      .exactOptional(),
    spec: z.looseObject({
      containers: z
        .array(TemplateContainer)
        .min(1)
        .max(16)
        .readonly()
        .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] }),
    }),
  })
  .describe(
    "A Kubernetes pod template. The operator adds the agent and settles what isolates the sandbox; " +
      `of terminationGracePeriodSeconds, 1 if absent, no more than ${MOST_GRACE_SECONDS} count.`,
  );

const EgressRange = z
  .string()
  .max(43)
  .meta(
    celRules({
      rule: "isCIDR(self)",
      messageExpression: `'cannot read the address range "' + self + '": write it as 203.0.113.0/24 or 2001:db8::/32'`,
    }),
  );

const Nameserver = z
  .string()
  .max(45)
  .meta(
    celRules({
      rule: "isIP(self)",
      messageExpression: `'cannot read the nameserver "' + self + '": write an IPv4 or IPv6 address'`,
    }),
  );

/** What a sandbox may reach; absent means nothing. */
export const SandboxNetwork = z
  .object({
    allowInternetEgress: z
      .boolean()
      .describe("Opens the internet, but no private, link-local or metadata address.")
      .exactOptional(),
    allowClusterDNS: z.boolean().describe("Opens the cluster's DNS, and resolves names by it.").exactOptional(),
    allowIPv6Egress: z
      .boolean()
      .describe("Extends the other members to IPv6; opens nothing by itself.")
      .exactOptional(),
    allowedEgressCIDRs: z
      .array(EgressRange)
      .max(16)
      .readonly()
      .meta({
        description: "Address ranges to open, on every port; without effect beside allowInternetEgress.",
        "x-kubernetes-list-type": "atomic",
      })
      .exactOptional(),
    nameservers: z
      .array(Nameserver)
      .max(3)
      .readonly()
      .meta({ description: "Resolvers to use, opened on port 53.", "x-kubernetes-list-type": "atomic" })
      .exactOptional(),
    egressRateLimitBytesPerSecond: z
      .int()
      .min(1)
      .max(1_000_000_000_000)
      .describe("Most bytes a second that leave the sandbox; opens nothing by itself.")
      .exactOptional(),
  })
  .meta({
    description: "What the sandbox may reach; absent means nothing.",
    ...celRules(
      {
        rule: "(has(self.allowIPv6Egress) && self.allowIPv6Egress) || !has(self.allowedEgressCIDRs) || self.allowedEgressCIDRs.all(range, !isCIDR(range) || cidr(range).ip().family() == 4)",
        message: "IPv6 ranges in allowedEgressCIDRs need allowIPv6Egress: true",
      },
      {
        rule: "(has(self.allowIPv6Egress) && self.allowIPv6Egress) || !has(self.nameservers) || self.nameservers.all(server, !isIP(server) || ip(server).family() == 4)",
        message: "IPv6 nameservers need allowIPv6Egress: true",
      },
    ),
  });

/** What happens when the sandbox goes. */
export const SandboxTerminationPolicy = z
  .object({
    type: z.enum(["Delete", "SnapshotRootfs"]).default("Delete"),
    snapshotRootfs: z
      .object({ snapshotName: SnapshotName.exactOptional(), timeoutSeconds: PositiveSeconds.default(300) })
      .exactOptional(),
  })
  .meta({
    description: "What happens when the sandbox goes.",
    ...celRules({
      rule: "(self.type == 'SnapshotRootfs') == has(self.snapshotRootfs)",
      message: "snapshotRootfs must be present when type is SnapshotRootfs and absent otherwise",
    }),
  });

const SnapshotSource = z.object({
  snapshotName: SnapshotName,
  containerName: ContainerName.describe("Absent means the first container.").exactOptional(),
  allowOtherBase: z
    .boolean()
    .describe("Restores even onto another image than the one that the snapshot was taken over.")
    .exactOptional(),
});

/** `spec` of a Sandbox object: the user's, never written back. */
export const SandboxSpecResource = z
  .object({
    podTemplate: PodTemplate,
    timeoutSeconds: PositiveSeconds.describe(
      "Lifetime from the moment the pod has started; absent means no limit.",
    ).exactOptional(),
    startupTimeoutSeconds: PositiveSeconds.default(90).describe("Longest time from the pod's creation to readiness."),
    network: SandboxNetwork.exactOptional(),
    terminationPolicy: SandboxTerminationPolicy.exactOptional(),
    rootfsSnapshotSources: z
      .array(SnapshotSource)
      .max(16)
      .readonly()
      .meta({
        description: "Which container starts from which snapshot.",
        "x-kubernetes-list-type": "atomic",
        ...celRules({
          rule: "self.size() < 2 || self.all(source, has(source.containerName) && self.exists_one(other, has(other.containerName) && other.containerName == source.containerName))",
          message: "with more than one snapshot source each needs a containerName of its own",
        }),
      })
      .exactOptional(),
  })
  .meta(
    celRules(
      immutable("network"),
      immutable("rootfsSnapshotSources"),
      immutable("terminationPolicy"),
      immutable("timeoutSeconds"),
    ),
  );

const SizeBytes = z.int().min(0);

/** How far a container's root is restored from a snapshot, as the mounter of the sandbox's node says. */
export const SandboxRootfsRestore = z.object({
  containerName: ContainerName,
  snapshotName: SnapshotName,
  phase: z.enum(["Waiting", "Fetching", "Ready", "Failed"]),
  reason: z.enum(["RootfsRestoreConfigurationError", "SnapshotDamaged"]).describe("Why it has failed.").exactOptional(),
  message: z.string().max(4096).describe("One sentence for people.").exactOptional(),
  writeId: SnapshotWriteId.describe("Which write of the snapshot it is.").exactOptional(),
  base: z.object(SnapshotBase.shape).describe("The image whose changes it holds.").exactOptional(),
  tarBytes: SizeBytes.describe("What is restored, unpacked.").exactOptional(),
  bytesDone: SizeBytes.exactOptional(),
  bytesTotal: SizeBytes.exactOptional(),
});

/** `status` of a Sandbox object: the operator's, but for `rootfsRestores`. The condition `Succeeded` is absent until the sandbox has ended, and then never changes. */
export const SandboxStatusResource = z.object({
  conditions: z
    .array(Condition)
    .max(16)
    .readonly()
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] })
    .exactOptional(),
  timeoutAt: z.string().meta({ format: "date-time", description: "When the lifetime ends." }).exactOptional(),
  terminationDeadlineAt: z
    .string()
    .meta({ format: "date-time", description: "When the termination policy is given up." })
    .exactOptional(),
  podIP: z.string().max(45).exactOptional(),
  sidecarVersion: z
    .string()
    .max(256)
    .describe("The agent's version, which stays when the operator's changes.")
    .exactOptional(),
  rootfsRestores: z
    .array(SandboxRootfsRestore)
    .max(16)
    .readonly()
    .meta({
      description: "How far the containers that start from snapshots are restored.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["containerName"],
    })
    .exactOptional(),
});

export type PodTemplate = z.infer<typeof PodTemplate>;
export type SandboxNetwork = z.infer<typeof SandboxNetwork>;
export type SandboxTerminationPolicy = z.infer<typeof SandboxTerminationPolicy>;
export type SandboxRootfsRestore = z.infer<typeof SandboxRootfsRestore>;
export type SandboxSpecResource = z.infer<typeof SandboxSpecResource>;
export type SandboxStatusResource = z.infer<typeof SandboxStatusResource>;

/** A Sandbox object. */
export interface SandboxResource {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly spec: SandboxSpecResource;
  readonly status?: SandboxStatusResource;
}
