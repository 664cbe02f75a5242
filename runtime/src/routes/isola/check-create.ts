import type { ProblemFault } from "#api/problem.ts";
import type { CreateSandboxRequest } from "#api/sandbox.ts";
import { checkNetwork } from "#core/network.ts";
import { ProblemError } from "#core/problem-error.ts";
import { parseQuantity } from "#core/quantity.ts";
import type { ContainerSpec, SandboxSpec } from "#core/sandbox.ts";
import type { SandboxBackend } from "../../backend/port.ts";
import { invalid } from "../bind.ts";

/** Name of the agent's own container wherever sandboxes are pods. */
const AGENT_CONTAINER = "sandbox-sidecar";
const RESOURCES = ["cpu", "memory", "ephemeralStorage"] as const;

/** `not-supported` for what this gateway's backend has no means for. */
export function checkSupported(request: CreateSandboxRequest, backend: Pick<SandboxBackend, "snapshots">): void {
  if (backend.snapshots !== undefined) return;
  if (request.terminationPolicy?.type === "SnapshotRootfs") {
    throw new ProblemError(
      "not-supported",
      "Snapshots of root file systems are not supported by this installation: use terminationPolicy Delete.",
    );
  }
  if (request.podTemplate.containers.some((container) => container.rootfsSnapshotName !== undefined)) {
    throw new ProblemError(
      "not-supported",
      "Snapshots of root file systems are not supported by this installation: leave rootfsSnapshotName out.",
    );
  }
}

/** Faults that show only when several fields are seen together; `validation-failed` or `blocked-cidr`. */
export function checkSpec(spec: SandboxSpec): void {
  const faults = spec.containers.flatMap((container, i) => [
    ...nameFaults(spec, container, i),
    ...textFaults(container, i),
    ...snapshotFaults(container, i),
    ...requestFaults(container, i),
  ]);
  if (faults.length > 0) throw invalid(faults);
  if (spec.network !== undefined) checkNetwork(spec.network);
}

function nameFaults(spec: SandboxSpec, { name }: ContainerSpec, index: number): ProblemFault[] {
  const location = `body.podTemplate.containers[${index}].name`;
  if (name === AGENT_CONTAINER) return [{ location, message: "This name is reserved", value: name }];
  const isRepeat = spec.containers.findIndex((other) => other.name === name) < index;
  return isRepeat ? [{ location, message: "Two containers have the same name", value: name }] : [];
}

/** Neither the kernel's arguments nor its environment can carry NUL, and a variable's name no `=`. */
function textFaults({ command = [], env }: ContainerSpec, index: number): ProblemFault[] {
  const at = `body.podTemplate.containers[${index}]`;
  const faults: ProblemFault[] = [];
  if (command.some((part) => part.includes("\0")))
    faults.push({ location: `${at}.command`, message: "Must not contain NUL" });
  if (Object.keys(env).some((name) => !isVariableName(name))) {
    faults.push({ location: `${at}.env`, message: 'Names must not be empty or contain "=" or NUL' });
  }
  if (Object.values(env).some((value) => value.includes("\0")))
    faults.push({ location: `${at}.env`, message: "Must not contain NUL" });
  return faults;
}

export function isVariableName(name: string): boolean {
  return name !== "" && !name.includes("=") && !name.includes("\0");
}

function snapshotFaults(container: ContainerSpec, index: number): ProblemFault[] {
  if (container.rootfsSnapshotAllowOtherBase !== true || container.rootfsSnapshotName !== undefined) return [];
  const location = `body.podTemplate.containers[${index}].rootfsSnapshotAllowOtherBase`;
  return [{ location, message: "Says nothing without rootfsSnapshotName" }];
}

function requestFaults({ resources }: ContainerSpec, index: number): ProblemFault[] {
  return RESOURCES.flatMap((resource) => {
    const request = resources?.requests?.[resource];
    const limit = resources?.limits?.[resource];
    if (request === undefined || limit === undefined) return [];
    if ((parseQuantity(request)?.nano ?? 0n) <= (parseQuantity(limit)?.nano ?? 0n)) return [];
    const location = `body.podTemplate.containers[${index}].resources.requests.${resource}`;
    return [{ location, message: `Must not be above the limit of ${limit}`, value: request }];
  });
}
