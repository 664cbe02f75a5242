import type { SandboxResource } from "#api/crd/sandbox.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import { sandboxState, type SandboxState } from "#core/kubernetes/sandbox-state.ts";
import type { Sandbox, SandboxPhase } from "#core/sandbox.ts";
import { toSpec } from "./convert.ts";
import { restoringState } from "./restoring.ts";

/**
 * The sandbox as the port shows it. `upSinceMs`: since when this gateway knows that its agent
 * answers for every container, which is before the operator's word that it runs.
 */
export function toSandbox(resource: SandboxResource, upSinceMs: number | undefined): Sandbox {
  const { metadata } = resource;
  const state = sandboxState(resource);
  const isUp = isRunning(state, upSinceMs);
  // Whoever saw it first, operator or gateway: a sandbox that runs says nothing else.
  const { phase, reason, message } = isUp
    ? { phase: "Running" as const, reason: "PodRunning" as const, message: undefined }
    : { ...state, ...(isWaiting(state) ? restoringState(resource) : undefined) };
  const createdAtMs = createdAtMsOf(resource);
  const startedAtMs = startOf(resource, state, upSinceMs);
  return {
    id: metadata.name,
    spec: toSpec(resource),
    phase,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    createdAtMs,
    ...(startedAtMs === undefined ? {} : { startedAtMs: Math.max(startedAtMs, createdAtMs) }),
    ...(state.endedAtMs === undefined ? {} : { endedAtMs: state.endedAtMs }),
    requestDigest: metadata.annotations?.[ANNOTATION.requestDigest] ?? "",
  };
}

/** What `toSandbox` says of the phase, without the rest. */
export function phaseOf(resource: SandboxResource, upSinceMs: number | undefined): SandboxPhase {
  const state = sandboxState(resource);
  return isRunning(state, upSinceMs) ? "Running" : state.phase;
}

function isRunning({ phase }: SandboxState, upSinceMs: number | undefined): boolean {
  return phase === "Running" || (phase === "Pending" && upSinceMs !== undefined);
}

/** Where the operator has more to say than that there is no pod yet, that counts. */
function isWaiting({ phase, reason }: SandboxState): boolean {
  return phase === "Pending" && (reason === undefined || reason === "PodPending");
}

/** By the API server's clock, in whole seconds. */
export function createdAtMsOf({ metadata }: SandboxResource): number {
  return Date.parse(metadata.creationTimestamp ?? "");
}

/** In the order of creation: Kubernetes counts seconds only, so within one the creators' clocks decide. */
export function byCreation(a: SandboxResource, b: SandboxResource): number {
  return (
    createdAtMsOf(a) - createdAtMsOf(b) || creatorsMs(a) - creatorsMs(b) || (a.metadata.name < b.metadata.name ? -1 : 1)
  );
}

function creatorsMs({ metadata }: SandboxResource): number {
  return Number(metadata.annotations?.[ANNOTATION.createdAtMs] ?? 0) || 0;
}

/** A lifetime is counted from the pod's start, so where there is one that is the moment. */
function startOf({ spec, status }: SandboxResource, state: SandboxState, upSinceMs: number | undefined) {
  if (status?.timeoutAt === undefined || spec.timeoutSeconds === undefined) return upSinceMs ?? state.startedAtMs;
  return Date.parse(status.timeoutAt) - spec.timeoutSeconds * 1000;
}
