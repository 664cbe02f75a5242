import { describe, expect, test } from "vitest";
import type { Pod } from "#core/kubernetes/pod.ts";
import type { RecordJob } from "./record-job.ts";
import { recordTarget } from "./record-pod.ts";

const ID = "a".repeat(64);
const JOB: RecordJob = {
  namespace: "team",
  name: "record",
  uid: "r1",
  snapshotName: "work",
  sandboxName: "box",
  podUid: "p1",
  containerName: "main",
  containerId: ID,
  createdAt: "2026-11-22T10:00:00Z",
  timeoutSeconds: 300,
  deadlineMs: 0,
};
const POD: Pod = {
  metadata: {
    name: "box-pod",
    namespace: "team",
    uid: "p1",
    ownerReferences: [{ apiVersion: "v1", kind: "Sandbox", name: "box", uid: "s1" }],
  },
  spec: {
    nodeName: "node-1",
    containers: [
      { name: "sandbox-sidecar", image: "agent" },
      { name: "main", image: "debian:13", resources: { limits: { "ephemeral-storage": "1Gi" } } },
    ],
  },
  status: {
    containerStatuses: [
      { name: "sandbox-sidecar", containerID: `containerd://${"b".repeat(64)}`, state: { running: {} } },
      { name: "main", containerID: `containerd://${ID}`, state: { running: {} } },
    ],
  },
};

describe("recordTarget()", () => {
  test("is the container that the record means, with its limit of disk", () => {
    expect(recordTarget(POD, JOB, "node-1")).toEqual({
      containerId: ID,
      containerName: "main",
      podUid: "p1",
      image: "debian:13",
      agentContainerId: "b".repeat(64),
      diskBytes: 2 ** 30,
    });
  });

  test("has the agent that runs beside it, wherever the pod lists it, or none", () => {
    const [agent, main] = POD.status?.containerStatuses ?? [];
    if (agent === undefined || main === undefined) throw new Error("No containers");
    const native = { ...POD, status: { initContainerStatuses: [agent], containerStatuses: [main] } };
    expect(recordTarget(native, JOB, "node-1").agentContainerId).toBe("b".repeat(64));
    for (const other of [
      { ...agent, state: { waiting: {} } },
      { ...agent, name: "other" },
      { ...agent, containerID: "containerd://--root=x" },
    ]) {
      const pod = { ...POD, status: { containerStatuses: [other, main] } };
      expect(recordTarget(pod, JOB, "node-1")).not.toHaveProperty("agentContainerId");
    }
  });

  test.each<[string, Pod | undefined]>([
    ["is gone", undefined],
    ["is another", { ...POD, metadata: { ...POD.metadata, uid: "p2" } }],
    ["is on another node", { ...POD, spec: { ...POD.spec, nodeName: "node-2" } }],
    ["is another sandbox's", { ...POD, metadata: { ...POD.metadata, name: "other-pod" } }],
    ["belongs to nobody", { ...POD, metadata: { ...POD.metadata, ownerReferences: [] } }],
  ])("there is none when the pod %s", (_, pod) => {
    expect(() => recordTarget(pod, JOB, "node-1")).toThrow(expect.objectContaining({ reason: "SandboxLost" }));
  });

  test.each([
    ["a container that is not there", { containerName: "other" }, "ContainerNotFound"],
    ["one that was made anew", { containerId: "c".repeat(64) }, "ContainerEnded"],
    ["a part of an id", { containerId: ID.slice(1) }, "ContainerEnded"],
  ])("there is none for %s", (_, change, reason) => {
    expect(() => recordTarget(POD, { ...JOB, ...change }, "node-1")).toThrow(expect.objectContaining({ reason }));
  });

  test("one that has ended cannot be saved", () => {
    const containerStatuses = [
      { name: "main", containerID: `containerd://${ID}`, state: { terminated: { exitCode: 0 } } },
    ];
    const ended = { ...POD, status: { containerStatuses } };
    expect(() => recordTarget(ended, JOB, "node-1")).toThrow(expect.objectContaining({ reason: "ContainerEnded" }));
  });
});
