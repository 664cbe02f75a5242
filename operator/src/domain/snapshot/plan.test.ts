import { describe, expect, it } from "vitest";
import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import type { SandboxStatusResource } from "#api/crd/sandbox.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { SETTLE_MS } from "#core/snapshot/publish-times.ts";
import { CREATED_MS, exited, runningStatus, samplePod, sampleSandbox, waiting } from "../../../test/samples.ts";
import { ASSIGNED, CONTAINER_ID, sampleRecord, savablePod } from "../../../test/snapshot-samples.ts";
import type { Plan } from "../action.ts";
import type { ObservedSnapshot } from "./observed.ts";
import { planSnapshot } from "./plan.ts";

const NOW = CREATED_MS + 12_000;
const DEADLINE = CREATED_MS + 70_000;

function condition(type: string, status: "True" | "False" | "Unknown", reason: string, message = "") {
  return { type, status, reason, message, lastTransitionTime: "2026-01-01T00:00:03Z" } as const;
}

const statusOf = (...conditions: NonNullable<SandboxStatusResource["conditions"]>): SandboxStatusResource => ({
  conditions,
});
const running = sampleSandbox({}, { status: statusOf(condition("Ready", "True", "PodRunning")) });

/** What is undefined is absent. */
type Facts = { readonly [member in keyof ObservedSnapshot]?: ObservedSnapshot[member] | undefined };

function planOf(rest: Facts = {}, nowMs = NOW): Plan {
  const facts = { record: sampleRecord(), sandbox: running, pod: savablePod(), handler: "runsc", ...rest };
  const there = Object.entries(facts).filter(([, fact]) => fact !== undefined);
  return planSnapshot(Object.fromEntries(there) as unknown as ObservedSnapshot, nowMs);
}

function written({ actions }: Plan): RootfsSnapshotResource | undefined {
  expect(actions.length).toBeLessThan(2);
  const [action] = actions;
  return action?.kind === "patchStatus" ? (action.object as RootfsSnapshotResource) : undefined;
}

const said = (plan: Plan) => {
  const { status, reason, message } = written(plan)?.status?.conditions?.[0] ?? {};
  return [status, reason, message];
};

const recordWith = (status: RootfsSnapshotStatusResource, metadata = {}) =>
  sampleRecord({}, { status: { ...ASSIGNED, ...status }, metadata });

const podWith = (status: Pod["status"] & object, metadata = {}): Pod => ({
  ...savablePod(),
  metadata: samplePod({}, metadata).metadata,
  status,
});

describe("planSnapshot() where no snapshots are taken", () => {
  it.each([
    ["one whose sandbox runs", {}],
    ["one that waits for its turn", { behind: "first" }],
    ["one without a sandbox", { sandbox: undefined, pod: undefined }],
  ])("fails %s at once, and asks nobody about it", (_, facts) => {
    const plan = planOf({ takesNone: true, ...facts });
    expect(said(plan)).toEqual(["False", "NotSupported", expect.stringContaining("takes no snapshots")]);
    expect(written(plan)?.status?.completionTime).toBe("2026-01-01T00:00:12Z");
    expect(plan.confirm).toBeUndefined();
  });

  it("leaves one that was begun before to its deadline, as nobody knows what its node has done", () => {
    const record = recordWith({});
    expect(planOf({ takesNone: true, record })).toEqual({ actions: [], nextDeadlineMs: DEADLINE });
    expect(said(planOf({ takesNone: true, record }, DEADLINE))).toEqual([
      "False",
      "DeadlineExceeded",
      expect.any(String),
    ]);
  });
});

describe("planSnapshot() of a record that has not begun", () => {
  it("gives it to the node of its container, in a write that fails when somebody was faster", () => {
    const plan = planOf();
    expect(written(plan)).toEqual({
      metadata: { name: "r", namespace: "ns", uid: "uid-r", resourceVersion: "7" },
      status: { ...ASSIGNED, startTime: "2026-01-01T00:00:12Z" },
    });
    expect(plan.nextDeadlineMs).toBe(DEADLINE);
  });

  it("takes the first container of the user's, or the one that is named", () => {
    const pod = savablePod();
    const more = {
      ...pod,
      spec: { ...pod.spec, containers: [...pod.spec.containers, { name: "b", image: "other" }] },
      status: {
        ...pod.status,
        containerStatuses: (pod.status?.containerStatuses ?? []).flatMap((status) =>
          status.name === "main" ? [status, { ...status, name: "b", imageID: "" }] : [status],
        ),
      },
    };
    expect(written(planOf({ pod: more }))?.status?.containerName).toBe("main");
    const named = written(planOf({ pod: more, record: sampleRecord({ containerName: "b" }) }));
    expect(named?.status).toMatchObject({ containerName: "b", containerID: CONTAINER_ID, base: { image: "other" } });
    expect(named?.status?.base).not.toHaveProperty("digest");
  });

  it.each<[string, Facts, string, RegExp]>([
    ["no sandbox", { sandbox: undefined }, "SandboxNotFound", /no sandbox "a"/],
    [
      "a sandbox that has ended",
      { sandbox: sampleSandbox({}, { status: statusOf(condition("Succeeded", "True", "Timeout")) }) },
      "SandboxNotRunning",
      /has ended: Timeout/,
    ],
    [
      "a sandbox that goes",
      { sandbox: sampleSandbox({}, { metadata: { deletionTimestamp: "2026-01-01T00:00:11Z" } }) },
      "SandboxNotRunning",
      /is being removed/,
    ],
    [
      "a pod that goes",
      { pod: savablePod({ deletionTimestamp: "2026-01-01T00:00:11Z" }) },
      "SandboxNotRunning",
      /removed/,
    ],
    [
      "another container",
      { record: sampleRecord({ containerName: "sandbox-sidecar" }) },
      "ContainerNotFound",
      /sidecar/,
    ],
    ["a container that has ended", { pod: podWith(runningStatus(exited("main", 0))) }, "ContainerEnded", /"main" of/],
    ["a pod that has ended", { pod: podWith({ ...runningStatus(), phase: "Failed" }) }, "ContainerEnded", /"main" of/],
    ["another runtime", { handler: "runc" }, "InvalidRuntime", /"gvisor" .* is of handler "runc"/],
    ["a runtime class that is gone", { handler: undefined }, "InvalidRuntime", /"gvisor" .* is not there/],
    [
      "an id that nobody can read",
      { pod: podWith(runningStatus({ name: "main", state: { running: {} }, containerID: "??" })) },
      "ContainerNotFound",
      /\?\?/,
    ],
  ])("fails for %s, but only on the API server's own word", (_, rest, reason, message) => {
    expect(planOf(rest)).toEqual({ actions: [], confirm: true });
    const plan = planOf({ ...rest, isFresh: true });
    expect(said(plan)).toEqual(["False", reason, expect.stringMatching(message)]);
    expect(written(plan)?.status?.completionTime).toBe("2026-01-01T00:00:12Z");
    expect(written(plan)?.metadata.resourceVersion).toBe("7");
  });

  it.each<[string, Facts]>([
    ["has no pod yet", { pod: undefined, sandbox: sampleSandbox() }],
    ["starts", { pod: podWith(runningStatus(waiting("main", "ContainerCreating"))), sandbox: sampleSandbox() }],
    [
      "has no node yet",
      { pod: { ...savablePod(), spec: { containers: savablePod().spec.containers, runtimeClassName: "gvisor" } } },
    ],
  ])("waits a while for a sandbox that %s, as clients may see it run before kubelet says so", (_, rest) => {
    expect(planOf(rest)).toEqual({ actions: [], nextDeadlineMs: CREATED_MS + 20_000 });
    expect(said(planOf({ ...rest, isFresh: true }, CREATED_MS + 20_000))[1]).toBe("SandboxNotRunning");
  });

  it("takes the last snapshot of a sandbox that goes, and any while that is being taken", () => {
    const deletionTimestamp = "2026-01-01T00:00:11Z";
    const going = sampleSandbox({}, { metadata: { deletionTimestamp } });
    const pod = savablePod({ deletionTimestamp });
    const annotations = { "atoll.run/sandbox-uid": "uid-a" };
    const last = sampleRecord({}, { metadata: { name: "a-termination", annotations } });
    expect(written(planOf({ record: last, sandbox: going, pod }))?.status?.nodeName).toBe("node-1");
    const another = sampleRecord(
      {},
      { metadata: { name: "a-termination", annotations: { "atoll.run/sandbox-uid": "x" } } },
    );
    expect(planOf({ record: another, sandbox: going, pod }).confirm).toBe(true);
    const held = { ...going, status: statusOf(condition("Ready", "False", "RootfsSnapshottingInProgress")) };
    expect(written(planOf({ sandbox: held, pod }))?.status?.nodeName).toBe("node-1");
  });

  it("says behind which record it waits, once, and fails at its deadline in the queue", () => {
    const plan = planOf({ behind: "q" });
    expect(said(plan)).toEqual(["Unknown", "WaitingForTurn", expect.stringContaining('"q"')]);
    expect(plan.nextDeadlineMs).toBe(DEADLINE);
    const record = sampleRecord({}, { status: written(plan)?.status ?? {} });
    expect(planOf({ behind: "q", record })).toEqual({ actions: [], nextDeadlineMs: DEADLINE });
    expect(written(planOf({ record }))?.status).toEqual({ ...ASSIGNED, startTime: "2026-01-01T00:00:12Z" });
    expect(said(planOf({ behind: "q", record }, DEADLINE))).toEqual([
      "False",
      "DeadlineExceeded",
      expect.stringContaining('"q"'),
    ]);
  });

  it("begins with none that is being removed", () => {
    const record = sampleRecord({}, { metadata: { deletionTimestamp: "2026-01-01T00:00:11Z" } });
    expect(said(planOf({ record }))).toEqual(["False", "DumpFailed", expect.stringContaining("removed")]);
  });
});

describe("planSnapshot() of a record that a node has", () => {
  it("lets it be until its deadline, and fails it then in one guarded write that keeps what it said", () => {
    expect(planOf({ record: recordWith({}) })).toEqual({ actions: [], nextDeadlineMs: DEADLINE });
    const plan = planOf({ record: recordWith({ progress: { phase: "Uploading", bytesDone: 1 } }) }, DEADLINE);
    expect(said(plan)).toEqual(["False", "DeadlineExceeded", expect.stringContaining("60 s")]);
    expect(written(plan)?.metadata.resourceVersion).toBe("7");
    expect(written(plan)?.status).toMatchObject(ASSIGNED);
    expect(written(plan)?.status).not.toHaveProperty("progress");
  });

  it("says what held it up, where its mounter has told", () => {
    const progress = { phase: "Uploading" as const, bytesDone: 0, message: "The store gives no answer." };
    const plan = planOf({ record: recordWith({ progress }) }, DEADLINE);
    expect(said(plan)).toEqual(["False", "StoreFailed", expect.stringContaining("The store gives no answer.")]);
  });

  it("leaves it to the mounter once it may be published, then to who asks the store, and never ends it", () => {
    const record = recordWith({ publishBy: "2026-01-01T00:01:00Z" });
    const settleMs = CREATED_MS + 60_000 + SETTLE_MS;
    for (const nowMs of [NOW, DEADLINE, settleMs - 1])
      expect(planOf({ record, nodeIsGone: true, podIsGone: true }, nowMs)).toEqual({
        actions: [],
        nextDeadlineMs: settleMs,
      });
    const plan = planOf({ record }, settleMs);
    expect(written(plan)?.status).toEqual({ ...ASSIGNED, settle: true });
    expect(planOf({ record: recordWith({ publishBy: "2026-01-01T00:01:00Z", settle: true }) }, settleMs + 1e9)).toEqual(
      {
        actions: [],
      },
    );
    const early = sampleRecord({ timeoutSeconds: 3600 }, { status: record.status ?? {} });
    expect(planOf({ record: early }, settleMs).nextDeadlineMs).toBe(CREATED_MS + 3_610_000);
  });

  it("fails it when its node is gone, and looks at the node again while only the pod is", () => {
    expect(planOf({ record: recordWith({}), podIsGone: true }).nextDeadlineMs).toBe(NOW + 15_000);
    const plan = planOf({ record: recordWith({}), podIsGone: true, nodeIsGone: true });
    expect(said(plan)).toEqual(["False", "SandboxLost", expect.stringContaining('"node-1"')]);
  });
});

describe("planSnapshot() of a record that has ended", () => {
  const ended = (status: "True" | "False", ttlSecondsAfterFinished: number, metadata = {}) =>
    sampleRecord(
      { ttlSecondsAfterFinished },
      {
        metadata,
        status: {
          ...ASSIGNED,
          completionTime: "2026-01-01T00:00:12Z",
          conditions: [condition("Succeeded", status, status === "True" ? "Succeeded" : "DiskFull")],
        },
      },
    );

  it.each(["True", "False"] as const)("removes it after its time, but never at once: %s", (status) => {
    expect(planOf({ record: ended(status, 30) })).toEqual({ actions: [], nextDeadlineMs: NOW + 30_000 });
    expect(planOf({ record: ended(status, 0) })).toEqual({ actions: [], nextDeadlineMs: NOW + 5000 });
    expect(planOf({ record: ended(status, 0) }, NOW + 5000).actions).toEqual([
      expect.objectContaining({ kind: "remove", uid: "uid-r", resourceVersion: "7" }),
    ]);
  });

  it("leaves alone one that goes already", () => {
    const record = ended("True", 0, { deletionTimestamp: "2026-01-01T00:00:13Z" });
    expect(planOf({ record }, NOW + 1e9)).toEqual({ actions: [] });
  });
});
