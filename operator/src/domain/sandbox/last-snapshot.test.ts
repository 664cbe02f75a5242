import { describe, expect, it } from "vitest";
import type { Condition } from "#api/crd/object.ts";
import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxResource, SandboxStatusResource } from "#api/crd/sandbox.ts";
import type { ObjectMeta } from "#core/kubernetes/object.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { CREATED_MS, exited, runningStatus, sampleSandbox, waiting, WITH_SNAPSHOTS } from "../../../test/samples.ts";
import { savablePod } from "../../../test/snapshot-samples.ts";
import type { Plan } from "../action.ts";
import { terminationRecord } from "../termination-record.ts";
import type { ObservedSandbox } from "./observed.ts";
import { plan } from "./plan.ts";

const NOW = CREATED_MS + 20_000;
const DELETED = "2026-01-01T00:00:15Z";
/** 15 s after its creation and 30 s for the snapshot. */
const DEADLINE = CREATED_MS + 45_000;
const DEADLINE_AT = "2026-01-01T00:00:45Z";

const condition = (type: string, status: Condition["status"], reason: string): Condition => {
  return { type, status, reason, message: "", lastTransitionTime: "2026-01-01T00:00:03Z" };
};
const RUNNING: SandboxStatusResource = { conditions: [condition("Ready", "True", "PodRunning")], podIP: "10.0.0.9" };

function sandboxOf(metadata: Partial<ObjectMeta> = {}, status = RUNNING): SandboxResource {
  const terminationPolicy = { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 30 } } as const;
  return sampleSandbox({ terminationPolicy, timeoutSeconds: 60 }, { metadata, status });
}

const deleted = (status = RUNNING) => sandboxOf({ deletionTimestamp: DELETED }, status);

function planOf(rest: Partial<ObservedSandbox>, nowMs = NOW): Plan {
  const facts = { sandbox: deleted(), pod: savablePod(), agentKey: "", handler: "runsc", ...rest };
  return plan(facts, WITH_SNAPSHOTS, nowMs);
}

function kinds({ actions }: Plan): readonly string[] {
  return actions.map((action) =>
    action.kind === "event"
      ? action.event.reason
      : `${action.kind} ${"resource" in action ? action.resource.plural : ""}`,
  );
}

const statusOf = ({ actions }: Plan): SandboxStatusResource => {
  const write = actions.find(({ kind }) => kind === "patchStatus");
  return write?.kind === "patchStatus" ? ((write.object as SandboxResource).status ?? {}) : {};
};

function says(planned: Plan): Record<string, string> {
  const { conditions = [] } = statusOf(planned);
  return Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

const messageOf = (planned: Plan, type: string) =>
  statusOf(planned).conditions?.find((said) => said.type === type)?.message;

function recordOf(sandbox: SandboxResource, status: RootfsSnapshotStatusResource = {}): RootfsSnapshotResource {
  const record = terminationRecord(sandbox, { nowMs: NOW, deadlineAtMs: DEADLINE });
  if (record === undefined) throw new TypeError("The sandbox wants no snapshot");
  return { ...record, metadata: { ...record.metadata, uid: "uid-r" }, status };
}

const ended = (status: "True" | "False", message = ""): RootfsSnapshotStatusResource => ({
  conditions: [{ ...condition("Succeeded", status, status === "True" ? "Succeeded" : "DiskFull"), message }],
});

describe("a sandbox that wants a snapshot at its end", () => {
  it("keeps the deadline, then asks for the snapshot, and holds the pod meanwhile", () => {
    const first = planOf({});
    expect(kinds(first)).toEqual(["patchStatus sandboxes", "create rootfssnapshots", "RootfsSnapshotCreated"]);
    expect(says(first)).toEqual({
      Ready: "False RootfsSnapshottingInProgress",
      RootfsSnapshot: "Unknown RootfsSnapshottingInProgress",
    });
    expect(statusOf(first)).toMatchObject({ terminationDeadlineAt: DEADLINE_AT });
    expect(statusOf(first).podIP).toBeUndefined();
    expect(first.nextDeadlineMs).toBe(DEADLINE);
    expect(first.actions[1]).toMatchObject({
      object: {
        metadata: { name: "a-termination", ownerReferences: [{ uid: "uid-a", controller: true }] },
        spec: { sandboxName: "a", snapshotName: "a", timeoutSeconds: 25, ttlSecondsAfterFinished: 300 },
      },
    });
    const sandbox = deleted(statusOf(first));
    expect(kinds(planOf({ sandbox }, NOW + 5000))).toEqual(["create rootfssnapshots", "RootfsSnapshotCreated"]);
    const waits = planOf({ sandbox, lastRecord: recordOf(sandbox) }, NOW + 5000);
    expect(waits).toEqual({ actions: [], nextDeadlineMs: DEADLINE });
  });

  it.each<[string, RootfsSnapshotStatusResource, number, string, string]>([
    ["it is kept", ended("True"), NOW, "True RootfsSnapshotComplete", "SnapshotSucceeded"],
    ["it has failed", ended("False", "No disk."), NOW, "False RootfsSnapshotFailed", "SnapshotFailed"],
    ["the deadline has come", {}, DEADLINE, "False RootfsSnapshotTimeout", "SnapshotFailed"],
  ])("lets the pod go politely as soon as %s", (_, status, nowMs, said, event) => {
    const sandbox = deleted(statusOf(planOf({})));
    const over = planOf({ sandbox, lastRecord: recordOf(sandbox, status) }, nowMs);
    expect(kinds(over)).toEqual(["patchStatus sandboxes", event, "remove pods"]);
    expect(says(over)).toEqual({ Ready: "False Deleting", RootfsSnapshot: said });
    expect(over.actions.at(-1)).toMatchObject({ gracePeriodSeconds: 1 });
    const later = { sandbox: deleted(statusOf(over)), lastRecord: recordOf(sandbox, status), isFresh: true };
    const going = savablePod({ deletionTimestamp: DELETED, deletionGracePeriodSeconds: 1 });
    expect(planOf({ ...later, pod: going }, nowMs)).toEqual({ actions: [] });
    const last = plan({ ...later, agentKey: "" }, WITH_SNAPSHOTS, nowMs);
    expect(kinds(last)).toEqual(["release rootfssnapshots", "setFinalizers sandboxes"]);
    const { ownerReferences: _owners, ...metadata } = later.lastRecord.metadata;
    const released = { ...later, lastRecord: { ...later.lastRecord, metadata }, agentKey: "" };
    expect(kinds(plan(released, WITH_SNAPSHOTS, nowMs))).toEqual(["setFinalizers sandboxes"]);
  });

  it.each<[string, Partial<ObservedSandbox>, string, RegExp, string]>([
    ["another runtime", { handler: "runc" }, "InvalidRuntime", /"runc"/, "RuntimeNotSupported"],
    [
      "a container that has ended",
      { pod: { ...savablePod(), status: runningStatus(exited("main", 0)) } },
      "RootfsSnapshotFailed",
      /"main" had ended/,
      "PodNotReady",
    ],
    [
      "a container that never ran",
      { pod: { ...savablePod(), status: runningStatus(waiting("main", "ContainerCreating")) } },
      "RootfsSnapshotFailed",
      /"main" was not running/,
      "PodNotReady",
    ],
    ["a refused record", { recordFault: "no right" }, "RootfsSnapshotFailed", /no right/, "PodNotReady"],
  ])("is let go at once with %s, on the API server's own word", (_, rest, reason, message, event) => {
    expect(planOf(rest)).toEqual({ actions: [], confirm: true });
    const over = planOf({ ...rest, isFresh: true });
    expect(kinds(over)).toEqual(["patchStatus sandboxes", event, "remove pods"]);
    expect(says(over)["RootfsSnapshot"]).toBe(`False ${reason}`);
    expect(messageOf(over, "RootfsSnapshot")).toMatch(message);
  });

  it("is let go without its pod, unless the snapshot was begun", () => {
    const gone: Partial<ObservedSandbox> = { isFresh: true };
    const without = (rest: Partial<ObservedSandbox>) =>
      plan({ sandbox: deleted(), agentKey: "", handler: "runsc", ...gone, ...rest }, WITH_SNAPSHOTS, NOW);
    expect(kinds(without({}))).toEqual(["PodNotReady", "setFinalizers sandboxes"]);
    const sandbox = deleted(statusOf(planOf({})));
    expect(without({ sandbox, lastRecord: recordOf(sandbox) })).toEqual({ actions: [], nextDeadlineMs: DEADLINE });
  });

  it("is saved although kubelet has not said that it runs, when clients have used it", () => {
    const uid = "00000000-0000-4000-8000-000000000001";
    const pod: Pod = { ...savablePod({ uid }), status: runningStatus(waiting("main", "ContainerCreating")) };
    const sandbox = sandboxOf({ deletionTimestamp: DELETED, annotations: { "atoll.run/used-pod": uid } }, {});
    expect(kinds(planOf({ sandbox, pod }))).toContain("create rootfssnapshots");
  });

  it("is saved at the end of its lifetime first, and called a success then", () => {
    const endMs = CREATED_MS + 61_000;
    const running = sandboxOf();
    const first = planOf({ sandbox: running }, endMs);
    expect(kinds(first)).toEqual(["patchStatus sandboxes", "create rootfssnapshots", "RootfsSnapshotCreated"]);
    expect(says(first)["Succeeded"]).toBeUndefined();
    expect(first.nextDeadlineMs).toBe(endMs + 30_000);
    const sandbox = sandboxOf({}, { ...statusOf(first), timeoutAt: "2026-01-01T00:01:01Z" });
    const pod = { ...savablePod(), status: runningStatus(exited("main", 137, { reason: "OOMKilled" })) };
    expect(planOf({ sandbox, pod, lastRecord: recordOf(sandbox) }, endMs + 1000).actions).toEqual([]);
    const over = planOf({ sandbox, pod, lastRecord: recordOf(sandbox, ended("False", "No disk.")) }, endMs + 2000);
    expect(kinds(over)).toEqual(["patchStatus sandboxes", "SnapshotFailed", "Timeout", "remove pods"]);
    expect(says(over)).toMatchObject({ Succeeded: "True Timeout", RootfsSnapshot: "False RootfsSnapshotFailed" });
    expect(messageOf(over, "Succeeded")).toMatch(/lifetime of 60 s\. No disk\.$/);
  });

  it("is saved when others remove its pod, which then waits no longer, and is lost", () => {
    const pod = savablePod({ deletionTimestamp: "2026-01-01T00:00:46Z", deletionGracePeriodSeconds: 31 });
    const first = planOf({ sandbox: sandboxOf(), pod });
    expect(statusOf(first).terminationDeadlineAt).toBe(DEADLINE_AT);
    const sandbox = sandboxOf({}, statusOf(first));
    expect(planOf({ sandbox, pod, lastRecord: recordOf(sandbox) }).actions).toEqual([]);
    const over = planOf({ sandbox, pod, lastRecord: recordOf(sandbox, ended("True")) });
    expect(kinds(over)).toEqual(["patchStatus sandboxes", "SnapshotSucceeded", "SandboxLost", "remove pods"]);
    expect(says(over)).toMatchObject({ Cause: "True SandboxLost", RootfsSnapshot: "True RootfsSnapshotComplete" });
    expect(over.actions.at(-1)).toMatchObject({ gracePeriodSeconds: 1 });
    const after = planOf({
      sandbox: sandboxOf({}, statusOf(over)),
      pod: savablePod({ ...pod.metadata, deletionGracePeriodSeconds: 1 }),
    });
    expect(after.actions).toEqual([]);
  });

  it("is lost, and gets no second pod, when its pod goes in the middle", () => {
    const sandbox = sandboxOf({}, { terminationDeadlineAt: DEADLINE_AT, conditions: [] });
    const facts = { sandbox, agentKey: "", handler: "runsc", lastRecord: recordOf(sandbox) };
    expect(plan(facts, WITH_SNAPSHOTS, NOW)).toEqual({ actions: [], confirm: true });
    const held = plan({ ...facts, isFresh: true }, WITH_SNAPSHOTS, NOW);
    expect(kinds(held)).toEqual(["patchStatus sandboxes"]);
    expect(says(held)["Ready"]).toBe("False RootfsSnapshottingInProgress");
    const over = plan({ ...facts, isFresh: true }, WITH_SNAPSHOTS, DEADLINE);
    expect(says(over)).toMatchObject({ Cause: "True SandboxLost", RootfsSnapshot: "False RootfsSnapshotTimeout" });
  });

  it("is not saved when it ended by itself, and says so for whoever holds its containers", () => {
    const pod = { ...savablePod(), status: runningStatus(exited("main", 0)) };
    const over = planOf({ sandbox: sandboxOf(), pod });
    expect(says(over)).toMatchObject({ Succeeded: "True PodSucceeded", RootfsSnapshot: "False NoRootfsSnapshot" });
  });

  it("waits for an earlier sandbox's record of the name, and gives up for anybody else's", () => {
    const earlier = recordOf({ ...deleted(), metadata: { ...deleted().metadata, uid: "uid-b" } });
    const held = planOf({ lastRecord: earlier });
    expect(kinds(held)).toEqual(["patchStatus sandboxes"]);
    expect(held.nextDeadlineMs).toBe(DEADLINE);
    const told = planOf({ lastRecord: { ...earlier, status: ended("True") } });
    expect(told.actions.at(-1)).toMatchObject({
      kind: "remove",
      uid: "uid-r",
      resource: { plural: "rootfssnapshots" },
    });
    const foreign = { ...earlier, metadata: { name: "a-termination", namespace: "ns" } };
    const over = planOf({ lastRecord: foreign, isFresh: true });
    expect(messageOf(over, "RootfsSnapshot")).toMatch(/"a-termination", is taken/);
  });

  it("owns its record, unless its deletion removes first what it owns", () => {
    const foreground = sandboxOf({ finalizers: ["foregroundDeletion"], deletionTimestamp: DELETED });
    expect(recordOf(foreground).metadata.ownerReferences).toBeUndefined();
    expect(recordOf(foreground).metadata.annotations).toEqual({ "atoll.run/sandbox-uid": "uid-a" });
  });

  it("leaves the mounters' words in its status to them", () => {
    const rootfsRestores = [{ containerName: "main", snapshotName: "s", phase: "Ready" }] as const;
    expect(statusOf(planOf({ sandbox: deleted({ ...RUNNING, rootfsRestores }) }))).not.toHaveProperty("rootfsRestores");
  });
});
