import { cpuQuantity, mebibyteQuantity } from "./quantity.ts";
import type {
  ContainerBody,
  CreateSandboxBody,
  Network,
  ResourceList,
  ResourceRequirements,
  TerminationPolicyBody,
} from "./wire.ts";

/** What one container is made of. */
export interface ContainerSettings {
  /** Any OCI image reference. */
  readonly image: string;
  /** Replaces the image's entrypoint; default: the container idles. */
  readonly command?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Cores as a number (`0.5`) or a quantity (`"500m"`); sets limit and request. */
  readonly cpu?: number | string | undefined;
  /** MiB as a number (`256`) or a quantity (`"256Mi"`); sets limit and request. */
  readonly memory?: number | string | undefined;
  /** MiB as a number or a quantity; sets limit and request. */
  readonly ephemeralStorage?: number | string | undefined;
  /** Limits and requests as quantities, where they differ; excludes the three short forms. */
  readonly resources?: ResourceRequirements | undefined;
  /** Starts with what this snapshot holds; one that is not there yet is waited for. */
  readonly rootfsSnapshotName?: string | undefined;
  /** Restores it even onto another image than the one that it was taken over. */
  readonly rootfsSnapshotAllowOtherBase?: boolean | undefined;
}

/** One of several containers of a sandbox. */
export interface Container extends ContainerSettings {
  /** Default: `sandbox` and the position, from 0. */
  readonly name?: string | undefined;
}

/** What the whole sandbox is given. */
export interface SandboxSettings {
  readonly network?: Network | undefined;
  /** Lifetime, enforced by the server; default: no limit. */
  readonly timeoutSeconds?: number | undefined;
  /** Longest time until it runs, enforced by the server; default 90. */
  readonly startupTimeoutSeconds?: number | undefined;
  /** Takes a snapshot of the first container when the sandbox ends; default: it is deleted without one. */
  readonly terminationPolicy?:
    | { readonly snapshotName?: string | undefined; readonly timeoutSeconds?: number | undefined }
    | undefined;
}

/** One container in short, or several. */
export type SandboxSpec = SandboxSettings &
  (
    | (ContainerSettings & { readonly containers?: undefined })
    | { readonly containers: readonly Container[]; readonly image?: undefined }
  );

/** The request body for a specification. */
export function createSandboxBody(spec: SandboxSpec): CreateSandboxBody {
  const { containers, image } = spec;
  if ((containers === undefined) === (image === undefined)) {
    throw new TypeError("A sandbox needs either `image` or `containers`.");
  }
  return {
    podTemplate: { containers: (containers ?? [oneContainer(spec as ContainerSettings)]).map(containerBody) },
    ...given({
      timeoutSeconds: spec.timeoutSeconds,
      startupTimeoutSeconds: spec.startupTimeoutSeconds,
      network: spec.network,
      terminationPolicy: terminationPolicy(spec.terminationPolicy),
    }),
  };
}

/** Only the container's own members, so that the sandbox's do not leak into it. */
function oneContainer(spec: ContainerSettings): Container {
  const { image, command, env, cpu, memory, ephemeralStorage, resources } = spec;
  const { rootfsSnapshotName, rootfsSnapshotAllowOtherBase } = spec;
  const snapshot = { rootfsSnapshotName, rootfsSnapshotAllowOtherBase };
  return { image, command, env, cpu, memory, ephemeralStorage, resources, ...snapshot };
}

function containerBody(container: Container): ContainerBody {
  const { image, name, command, env, rootfsSnapshotName, rootfsSnapshotAllowOtherBase } = container;
  return {
    image,
    ...given({
      name,
      command: command === undefined ? undefined : [...command],
      env: env === undefined ? undefined : { ...env },
      resources: containerResources(container),
      rootfsSnapshotName,
      rootfsSnapshotAllowOtherBase,
    }),
  };
}

function containerResources({ cpu, memory, ephemeralStorage, resources }: Container): ResourceRequirements | undefined {
  if (cpu === undefined && memory === undefined && ephemeralStorage === undefined) return resources;
  if (resources !== undefined)
    throw new TypeError("A container takes `resources` or `cpu`, `memory` and `ephemeralStorage`, not both.");
  const amounts: ResourceList = given({
    cpu: cpu === undefined ? undefined : cpuQuantity(cpu),
    memory: memory === undefined ? undefined : mebibyteQuantity("memory", memory),
    ephemeralStorage:
      ephemeralStorage === undefined ? undefined : mebibyteQuantity("ephemeralStorage", ephemeralStorage),
  });
  return { limits: amounts, requests: amounts };
}

function terminationPolicy(policy: SandboxSettings["terminationPolicy"]): TerminationPolicyBody | undefined {
  return policy === undefined ? undefined : { type: "SnapshotRootfs", snapshotRootfs: given({ ...policy }) };
}

/** Without the members that are undefined. */
export function given<T extends object>(members: T): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T;
}
