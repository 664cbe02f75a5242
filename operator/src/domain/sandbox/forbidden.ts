import type { Container, PodSpec } from "#core/kubernetes/pod.ts";
import { CONTAINER_CAPABILITIES } from "#sidecar/manifest.ts";

type Loose = Readonly<Record<string, unknown>>;

const HOST_NAMESPACES = ["hostNetwork", "hostPID", "hostIPC"] as const;
const MAY_ADD = new Set(CONTAINER_CAPABILITIES.map(shortCapability));

/** A capability as Kubernetes writes it. */
export function shortCapability(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, "");
}

/**
 * What a template asks for that no sandbox gets, one phrase each: it would lead out of the sandbox.
 * The cluster's admission policy refuses the same; this says so in the sandbox's own status.
 */
export function forbiddenAsks(spec: PodSpec): readonly string[] {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  return [
    ...HOST_NAMESPACES.filter((member) => spec[member] === true),
    ...(spec.hostUsers === true ? ["hostUsers"] : []),
    ...(spec.nodeName === undefined || spec.nodeName === "" ? [] : ["nodeName"]),
    ...(isSystemClass(spec.priorityClassName) ? [`priorityClassName "${spec.priorityClassName}"`] : []),
    ...((spec.ephemeralContainers as readonly unknown[] | undefined)?.length ? ["ephemeralContainers"] : []),
    ...objects(spec.volumes).flatMap(forbiddenVolume),
    ...containers.flatMap(forbiddenInContainer),
  ];
}

function isSystemClass(name: string | undefined): boolean {
  return name?.startsWith("system-") ?? false;
}

function forbiddenVolume(volume: Loose): readonly string[] {
  if (volume.hostPath !== undefined) return [`the hostPath volume "${String(volume.name)}"`];
  const projected = objects((volume.projected as Loose | undefined)?.sources);
  if (projected.some((source) => source.serviceAccountToken !== undefined)) {
    return [`the service account token in volume "${String(volume.name)}"`];
  }
  return [];
}

function forbiddenInContainer(container: Container): readonly string[] {
  const { securityContext = {}, name } = container;
  const of = (what: string): string => `${what} of container "${name}"`;
  const added = (securityContext.capabilities?.add ?? []).map(shortCapability).filter((cap) => !MAY_ADD.has(cap));
  return [
    ...(securityContext.privileged === true ? [of("privileged")] : []),
    ...(isOrDefault(securityContext.procMount) ? [] : [of("procMount")]),
    ...(securityContext.windowsOptions === undefined ? [] : [of("windowsOptions")]),
    ...added.map((capability) => of(`the capability ${capability}`)),
    ...objects(container.ports)
      .filter(({ hostPort }) => hostPort !== undefined && hostPort !== 0)
      .map(() => of("a hostPort")),
  ];
}

function isOrDefault(procMount: unknown): boolean {
  return procMount === undefined || procMount === "Default";
}

/** A template is checked only in part when it comes: what is no list of objects is left to the API server to refuse. */
function objects(list: unknown): readonly Loose[] {
  return Array.isArray(list) ? list.filter((item): item is Loose => typeof item === "object" && item !== null) : [];
}
