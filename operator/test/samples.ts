import type { SandboxResource, SandboxSpecResource, SandboxStatusResource } from "#api/crd/sandbox.ts";
import type { ObjectMeta } from "#core/kubernetes/object.ts";
import { SANDBOX_FINALIZER } from "#core/kubernetes/names.ts";
import type { ContainerStatus, Pod, PodStatus } from "#core/kubernetes/pod.ts";
import { ownerOf } from "#core/kubernetes/sandbox-labels.ts";
import type { SandboxSettings } from "#operator/domain/sandbox/settings.ts";

/** 2026-01-01T00:00:00Z, when the samples were created. */
export const CREATED_MS = Date.parse("2026-01-01T00:00:00Z");

export const SETTINGS: SandboxSettings = {
  agent: {
    image: "registry/agent:1",
    imagePullPolicy: "IfNotPresent",
    version: "1.2.3",
    gatewayPublicKey: "k".repeat(43),
    requests: { cpu: "10m", memory: "48Mi" },
    limits: { cpu: "200m", memory: "128Mi", "ephemeral-storage": "1088Mi" },
    journalBudgetBytes: 1_073_741_824,
  },
  runtimeClass: "gvisor",
  imagePullSecrets: [],
  retention: { timeoutMs: 30_000, startupFailureMs: 3_600_000, finishedMs: 86_400_000 },
  provisionalMs: 300_000,
};

export function sampleSandbox(
  spec: Partial<SandboxSpecResource> = {},
  rest: { readonly metadata?: Partial<ObjectMeta>; readonly status?: SandboxStatusResource } = {},
): SandboxResource {
  return {
    metadata: {
      name: "a",
      namespace: "ns",
      uid: "uid-a",
      resourceVersion: "1",
      creationTimestamp: "2026-01-01T00:00:00Z",
      finalizers: [SANDBOX_FINALIZER],
      ...rest.metadata,
    },
    spec: {
      podTemplate: { spec: { containers: [{ name: "main", image: "img" }] } },
      startupTimeoutSeconds: 90,
      ...spec,
    },
    ...(rest.status === undefined ? {} : { status: rest.status }),
  };
}

/** The pod that `sampleSandbox` owns. */
export function samplePod(status: PodStatus = {}, metadata: Partial<ObjectMeta> = {}): Pod {
  return {
    metadata: {
      name: "a-pod",
      namespace: "ns",
      uid: "uid-pod",
      creationTimestamp: "2026-01-01T00:00:01Z",
      ownerReferences: [ownerOf(sampleSandbox())],
      ...metadata,
    },
    spec: { containers: [] },
    status,
  };
}

export function running(name: string): ContainerStatus {
  return { name, ready: true, state: { running: { startedAt: "2026-01-01T00:00:02Z" } } };
}

export function waiting(name: string, reason: string, message?: string): ContainerStatus & { image: string } {
  const state = { waiting: { reason, ...(message === undefined ? {} : { message }) } };
  return { name, ready: false, image: "registry/img:1", state };
}

export function exited(
  name: string,
  exitCode: number,
  rest: { reason?: string; message?: string } = {},
): ContainerStatus {
  return { name, ready: false, state: { terminated: { exitCode, finishedAt: "2026-01-01T00:00:05Z", ...rest } } };
}

/** A pod whose agent and main container run. */
export function runningStatus(...others: readonly ContainerStatus[]): PodStatus {
  return {
    phase: "Running",
    startTime: "2026-01-01T00:00:01Z",
    podIP: "10.0.0.9",
    conditions: [{ type: "Ready", status: others.every(({ ready }) => ready) ? "True" : "False" }],
    containerStatuses: [running("sandbox-sidecar"), ...(others.length === 0 ? [running("main")] : others)],
  };
}

/** The same of an installation that takes snapshots. */
export const WITH_SNAPSHOTS: SandboxSettings = {
  ...SETTINGS,
  snapshots: { restorePort: 10_033, restoreFolder: "/var/lib/atoll/restores" },
};
