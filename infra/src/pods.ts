import type { types } from "@pulumi/kubernetes";
import { LABEL } from "#core/kubernetes/names.ts";
import { imageReference, type ImageConfig, type ImageDefaults } from "./config/image.ts";
import type { SchedulingConfig } from "./config/scheduling.ts";
import type { EnvironmentVariable } from "./environment.ts";
import { omitEmpty } from "./omit-empty.ts";

type PodTemplate = types.input.core.v1.PodTemplateSpec;
type Container = types.input.core.v1.Container;

/** What `part-of` says of everything that belongs to the installation itself. */
const PART_OF = "atoll";

/** Labels by which selectors know a program: they never change, or its Deployment would be replaced. */
export function selectorLabels(program: string): Record<string, string> {
  return { [LABEL.name]: program, [LABEL.partOf]: PART_OF };
}

/** Labels of the objects of a program. */
export function objectLabels(program: string): Record<string, string> {
  return { ...selectorLabels(program), [LABEL.managedBy]: "pulumi" };
}

/** A container of the platform: no root, no capability, nothing to write to. */
const RESTRICTED_CONTAINER: types.input.core.v1.SecurityContext = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};
const RESTRICTED_POD: types.input.core.v1.PodSecurityContext = {
  runAsNonRoot: true,
  runAsUser: 65_532,
  runAsGroup: 65_532,
  fsGroup: 65_532,
  seccompProfile: { type: "RuntimeDefault" },
};

/** How the kubelet asks a program whether it lives and whether it serves. */
export interface Probes {
  readonly port: number;
  readonly livePath: string;
  readonly readyPath: string;
  /** Absent = the pod's own address. */
  readonly host?: string;
}

/** What the container of any program is made from. */
export interface ContainerFacts {
  /** Value of the `name` label. */
  readonly program: string;
  readonly image: ImageConfig;
  readonly defaults: ImageDefaults & { readonly imagePullSecrets: readonly string[] };
  readonly scheduling: SchedulingConfig;
  readonly resources: { readonly requests: Record<string, string>; readonly limits: Record<string, string> };
  readonly serviceAccountName: string;
  readonly environment: EnvironmentVariable[];
  readonly ports: Readonly<Record<string, number>>;
  readonly probes: Probes;
  readonly terminationGracePeriodSeconds: number;
}

export interface ProgramPod extends ContainerFacts {
  /** Secrets mounted as folders of files, by mount path. The kubelet renews the files when a Secret changes. */
  readonly secretFolders?: Readonly<
    Record<string, { readonly secret: string; readonly items?: Readonly<Record<string, string>> }>
  >;
}

/** Pods of a program that needs no privilege. */
export function programPod(pod: ProgramPod): PodTemplate {
  const folders = Object.entries(pod.secretFolders ?? {});
  const container: Container = {
    ...baseContainer(pod),
    securityContext: RESTRICTED_CONTAINER,
    volumeMounts: [
      { name: "tmp", mountPath: "/tmp" },
      ...folders.map(([mountPath, { secret }]) => ({ name: secret, mountPath, readOnly: true })),
    ],
  };
  const volumes = folders.map(([, { secret, items = {} }]) => ({
    name: secret,
    secret: {
      secretName: secret,
      defaultMode: 0o440,
      ...omitEmpty({ items: Object.entries(items).map(([key, path]) => ({ key, path })) }),
    },
  }));
  return {
    metadata: podMetadata(pod),
    spec: {
      ...baseSpec(pod),
      securityContext: RESTRICTED_POD,
      containers: [container],
      volumes: [{ name: "tmp", emptyDir: { sizeLimit: "64Mi" } }, ...volumes],
    },
  };
}

/** Labels and annotations of a program's pods. */
export function podMetadata({ program, scheduling }: Pick<ContainerFacts, "program" | "scheduling">) {
  return {
    labels: { ...scheduling.podLabels, ...objectLabels(program) },
    ...omitEmpty({ annotations: scheduling.podAnnotations }),
  };
}

/** What all pods of the platform say of themselves. */
export function baseSpec(pod: Omit<ContainerFacts, "image" | "environment">) {
  const { scheduling } = pod;
  return {
    serviceAccountName: pod.serviceAccountName,
    automountServiceAccountToken: true,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: pod.terminationGracePeriodSeconds,
    ...omitEmpty({
      imagePullSecrets: pod.defaults.imagePullSecrets.map((name) => ({ name })),
      nodeSelector: { "kubernetes.io/os": "linux", ...scheduling.nodeSelector },
      tolerations: scheduling.tolerations.map((toleration) => omitEmpty(toleration)),
      affinity: scheduling.affinity,
      priorityClassName: scheduling.priorityClassName,
    }),
    topologySpreadConstraints:
      scheduling.topologySpreadConstraints.length > 0
        ? scheduling.topologySpreadConstraints
        : spreadOverNodes(pod.program),
  };
}

/** What all containers of the platform have. */
export function baseContainer(pod: ContainerFacts): Container {
  const { port, host } = pod.probes;
  const probe = (path: string) => ({ httpGet: { path, port, ...omitEmpty({ host }) }, timeoutSeconds: 5 });
  return {
    name: pod.program,
    image: imageReference(pod.image, pod.defaults),
    imagePullPolicy: pod.image.pullPolicy,
    env: pod.environment,
    ...omitEmpty({
      ports: Object.entries(pod.ports).map(([name, containerPort]) => ({ name, containerPort, protocol: "TCP" })),
      resources: omitEmpty(pod.resources),
    }),
    startupProbe: { ...probe(pod.probes.livePath), periodSeconds: 1, failureThreshold: 60 },
    livenessProbe: { ...probe(pod.probes.livePath), periodSeconds: 10, failureThreshold: 6 },
    readinessProbe: { ...probe(pod.probes.readyPath), periodSeconds: 2, failureThreshold: 3 },
  };
}

/** Replicas on different nodes, where there are so many. */
function spreadOverNodes(program: string): types.input.core.v1.TopologySpreadConstraint[] {
  return [
    {
      maxSkew: 1,
      topologyKey: "kubernetes.io/hostname",
      whenUnsatisfiable: "ScheduleAnyway",
      labelSelector: { matchLabels: selectorLabels(program) },
    },
  ];
}
