import { describe, expect, it } from "vitest";
import type { ContainerStatus, PodStatus } from "#core/kubernetes/pod.ts";
import { exited, running, runningStatus, samplePod, waiting } from "../../../test/samples.ts";
import { observePod } from "./observe.ts";

const AGENT = "sandbox-sidecar";
const faultOf = (status: object, metadata: object = {}) => observePod(samplePod(status, metadata)).fault;
const statuses = (...containerStatuses: readonly ContainerStatus[]): PodStatus => ({
  phase: "Running",
  containerStatuses,
});

describe("observePod()", () => {
  it("knows nothing of a pod that no node has taken", () => {
    expect(observePod(samplePod())).toEqual({
      agentReady: false,
      podReady: false,
      createdAtMs: Date.parse("2026-01-01T00:00:01Z"),
    });
  });

  it("reads the user's containers, the agent's apart", () => {
    expect(observePod(samplePod(runningStatus(running("a"), exited("b", 4))))).toMatchObject({
      containers: [
        { name: "a", state: "running" },
        { name: "b", state: "exited", exitCode: 4 },
      ],
      agentReady: true,
      podReady: false,
      podIp: "10.0.0.9",
      startTimeMs: Date.parse("2026-01-01T00:00:01Z"),
    });
  });

  it.each([
    {
      reason: "ErrImagePull",
      message: 'failed to resolve "registry/img:1": registry/img:1: not found',
      is: "ImageNotFound",
    },
    { reason: "ImagePullBackOff", message: "Back-off: ErrImagePull: 401 Unauthorized", is: "ImagePullDenied" },
    { reason: "InvalidImageName", message: "", is: "ImageNotFound" },
    { reason: "ErrImageNeverPull", message: "", is: "ImageNotFound" },
    { reason: "RunContainerError", message: 'exec: "x": executable file not found in $PATH', is: "CommandNotFound" },
    { reason: "ErrImagePull", message: "dial tcp: connect: connection refused", is: undefined },
    { reason: "ImagePullBackOff", message: 'Back-off pulling image "registry/img:1"', is: undefined },
    { reason: "ContainerCreating", message: "", is: undefined },
    { reason: "CreateContainerConfigError", message: 'secret "s" not found', is: undefined },
  ])("takes $reason $message as $is", ({ reason, message, is }) => {
    expect(faultOf(statuses(running(AGENT), waiting("main", reason, message)))?.reason).toBe(is);
  });

  it("does not read the image's own name as a cause", () => {
    const status = { ...waiting("main", "ErrImagePull", "x/forbidden:1: connection refused"), image: "x/forbidden:1" };
    expect(faultOf(statuses(status))).toBeUndefined();
    expect(observePod(samplePod(statuses(status))).waiting).toMatch(/x\/forbidden:1 cannot be pulled: .*reached\.$/);
  });

  it("says what a start waits for in words that do not change", () => {
    const scheduled = { type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/3 nodes" } as const;
    expect(observePod(samplePod({ conditions: [scheduled] })).waiting).toMatch(/^No node/);
    const config = waiting("main", "CreateContainerConfigError", 'secret "s" not found\n');
    expect(observePod(samplePod(statuses(config))).waiting).toBe(
      'Container "main" cannot be set up: secret "s" not found.',
    );
    const agent = { ...waiting(AGENT, "ErrImagePull", "not found"), image: "agent:1" };
    const seen = observePod(samplePod(statuses(agent)));
    expect([seen.fault, seen.waiting]).toEqual([undefined, expect.stringContaining("agent:1")]);
  });

  it.each(["CreateContainerError", "RunContainerError"])(
    "waits when %s says that the node misses a file: nothing says that it is the command",
    (reason) => {
      const message = "failed to mount /run/containerd/rootfs: no such file or directory";
      const seen = observePod(samplePod(statuses(waiting("main", reason, message))));
      expect(seen.fault).toBeUndefined();
      expect(seen.waiting).toContain("no such file or directory");
    },
  );

  it.each([
    {
      what: "memory",
      status: statuses(exited(AGENT, 128, { reason: "OOMKilled" }), running("main")),
      is: "OutOfMemory",
    },
    {
      what: "a full disk",
      status: { phase: "Failed", reason: "Evicted", message: "The node was low on resource: ephemeral-storage. " },
      is: "DiskPressure",
    },
    {
      what: "another eviction",
      status: { phase: "Failed", reason: "Evicted", message: "The node was low on resource: memory." },
      is: "PodFailed",
    },
    { what: "no admission", status: { phase: "Failed", reason: "OutOfcpu", message: "no cpu" }, is: "PodFailed" },
    {
      what: "a missing command",
      status: statuses(
        running(AGENT),
        exited("main", 128, { reason: "StartError", message: "x: no such file or directory" }),
      ),
      is: "CommandNotFound",
    },
    {
      what: "another start error",
      status: statuses(running(AGENT), exited("main", 128, { reason: "StartError", message: "permission denied" })),
      is: "PodFailed",
    },
    {
      what: "a failed init container",
      status: {
        phase: "Failed",
        initContainerStatuses: [exited("i", 2)],
        containerStatuses: [waiting("main", "PodInitializing")],
      },
      is: "PodFailed",
    },
    {
      what: "a container that the node lost",
      status: statuses(running(AGENT), exited("main", 137, { reason: "ContainerStatusUnknown" })),
      is: "SandboxLost",
    },
    { what: "the agent's end", status: statuses(exited(AGENT, 1), running("main")), is: "AgentLost" },
    { what: "an end of its own", status: statuses(running(AGENT), exited("main", 1)), is: undefined },
    {
      what: "an end of all",
      status: { ...statuses(exited(AGENT, 0), exited("main", 1)), phase: "Failed" },
      is: undefined,
    },
  ])("takes $what as $is", ({ status, is }) => {
    expect(faultOf(status)?.reason).toBe(is);
  });

  it("calls a pod lost that others remove, unless its containers had ended before", () => {
    const removed = { deletionTimestamp: "2026-01-01T00:00:20Z", deletionGracePeriodSeconds: 10 };
    expect(faultOf(runningStatus(), removed)).toMatchObject({
      reason: "SandboxLost",
      message: "The sandbox was lost: somebody removed its pod.",
    });
    expect(faultOf(statuses(running(AGENT), exited("main", 1)), removed)).toBeUndefined();
    const atOnce = { ...removed, deletionGracePeriodSeconds: 15 };
    expect(faultOf(statuses(running(AGENT), exited("main", 137)), atOnce)?.reason).toBe("SandboxLost");
    const message = "Taint manager: deleting due to NoExecute taint";
    const conditions = [{ type: "DisruptionTarget", status: "True", reason: "DeletionByTaintManager", message }];
    expect(faultOf({ conditions }, removed)?.message).toContain(message);
  });

  it("bounds the words of others", () => {
    const message = `${"x".repeat(5000)}\nsecond`;
    expect(faultOf({ phase: "Failed", reason: "Evicted", message })?.message.length).toBeLessThan(1100);
  });
});
