import { describe, expect, test } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { planRecord } from "./record/record-job.ts";
import { recordTarget } from "./record/record-pod.ts";
import { restoreNeed } from "./restore/restore-job.ts";
import { isStopOver } from "./stop-over.ts";
import { trimPod, trimRecord, trimSandbox } from "./trim.ts";

const UID = "11111111-2222-3333-4444-555555555555";
const AT = "2026-11-22T10:00:00Z";
const ID = "a".repeat(64);
const MANAGED = { managedFields: [{ manager: "kubectl" }] };
const limits = { resources: { limits: { memory: "512Mi", "ephemeral-storage": "1Gi" } } };
const POD: Pod = {
  metadata: {
    name: "box-pod",
    namespace: "team",
    uid: "p1",
    resourceVersion: "7",
    labels: { a: "b" },
    annotations: { long: "x".repeat(1000) },
    ownerReferences: [{ apiVersion: "v1", kind: "Sandbox", name: "box", uid: UID }],
    ...MANAGED,
  },
  spec: {
    nodeName: "node-1",
    initContainers: [
      { name: "sandbox-sidecar", restartPolicy: "Always", env: [{ name: "KEY", value: "secret" }], ...limits },
    ],
    containers: [{ name: "main", image: "debian:13", env: [{ name: "TOKEN", value: "secret" }], ...limits }],
    volumes: [{ name: "v" }],
  },
  status: {
    phase: "Running",
    podIP: "10.0.0.1",
    containerStatuses: [{ name: "main", containerID: `containerd://${ID}`, state: { running: {} } }],
  },
};
const SANDBOX: SandboxResource = {
  metadata: { name: "box", namespace: "team", uid: UID, resourceVersion: "7", ...MANAGED },
  spec: {
    startupTimeoutSeconds: 90,
    podTemplate: {
      spec: { containers: [{ name: "main", image: "debian:13", env: [{ name: "TOKEN", value: "secret" }] }] },
    },
    rootfsSnapshotSources: [{ snapshotName: "work", allowOtherBase: true }],
    terminationPolicy: { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 60 } },
  },
  status: {
    podIP: "10.0.0.1",
    conditions: ["Ready", "RootfsSnapshot"].map((type) => ({
      type,
      status: "True" as const,
      reason: "RootfsSnapshotComplete",
      message: "",
      lastTransitionTime: AT,
    })),
    rootfsRestores: [{ containerName: "main", snapshotName: "work", phase: "Ready" }],
  },
};
const RECORD: RootfsSnapshotResource = {
  metadata: { name: "record", namespace: "team", uid: "r1", creationTimestamp: AT, finalizers: ["f"], ...MANAGED },
  spec: { sandboxName: "box", timeoutSeconds: 60, ttlSecondsAfterFinished: 60 },
  status: { nodeName: "node-1", startTime: AT, podUid: "p1", containerName: "main", containerID: `containerd://${ID}` },
};

describe("trimPod(), trimSandbox() and trimRecord()", () => {
  test("leave all that is decided upon", () => {
    const plan = planRecord(RECORD, "node-1");
    expect(plan.kind).toBe("take");
    expect(planRecord(trimRecord(RECORD), "node-1")).toEqual(plan);
    expect(trimRecord(RECORD).metadata.finalizers).toEqual(["f"]);
    for (const phase of ["Pending", "Running"] as const) {
      const pod: Pod = { ...POD, status: phase === "Running" ? (POD.status ?? {}) : { phase } };
      const need = restoreNeed(SANDBOX, pod);
      expect(need.kind).toBe(phase === "Running" ? "over" : "needed");
      expect(restoreNeed(trimSandbox(SANDBOX), trimPod(pod))).toEqual(need);
    }
    if (plan.kind === "take")
      expect(recordTarget(trimPod(POD), plan.job, "node-1")).toEqual(recordTarget(POD, plan.job, "node-1"));
    expect([isStopOver(SANDBOX), isStopOver(trimSandbox(SANDBOX))]).toEqual([true, true]);
    expect(trimSandbox(SANDBOX).status?.rootfsRestores).toEqual(SANDBOX.status?.rootfsRestores);
  });

  test("keep nothing of what programs in sandboxes are told", () => {
    const kept = JSON.stringify([trimPod(POD), trimSandbox(SANDBOX), trimRecord(RECORD)]);
    for (const word of ["secret", "kubectl", "10.0.0.1", "xxx"]) expect(kept).not.toContain(word);
  });

  test("of a sandbox without snapshots only that it is there", () => {
    const { rootfsSnapshotSources: _sources, terminationPolicy: _policy, ...spec } = SANDBOX.spec;
    const trimmed = trimSandbox({ ...SANDBOX, spec });
    expect(trimmed.spec.podTemplate.spec.containers).toEqual([]);
    expect([restoreNeed(trimmed, trimPod(POD)).kind, isStopOver(trimmed)]).toEqual(["over", true]);
  });
});
