import { describe, expect, it } from "vitest";
import type { Condition } from "#api/crd/object.ts";
import type { SandboxResource, SandboxSpecResource, SandboxStatusResource } from "#api/crd/sandbox.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import {
  CREATED_MS,
  exited,
  runningStatus,
  samplePod,
  sampleSandbox,
  SETTINGS,
  waiting,
} from "../../../test/samples.ts";
import type { Action, Plan } from "../action.ts";
import type { ObservedSandbox } from "./observed.ts";
import { plan } from "./plan.ts";

const LATER = CREATED_MS + 10_000;
const FIRST: SandboxStatusResource = { conditions: [condition("Ready", "Unknown", "PodPending")] };

function condition(type: string, status: Condition["status"], reason: string, message = ""): Condition {
  return { type, status, reason, message, lastTransitionTime: "2026-01-01T00:00:03Z" };
}

function planOf(rest: Partial<ObservedSandbox>, nowMs = LATER): Plan {
  return plan({ sandbox: sampleSandbox({}, { status: FIRST }), agentKey: "k", ...rest }, SETTINGS, nowMs);
}

/** The sandbox as it is after a plan's status write. */
function after({ actions }: Plan, sandbox: SandboxResource): SandboxResource {
  const written = actions.find((action) => action.kind === "patchStatus");
  return written === undefined ? sandbox : { ...sandbox, status: (written.object as SandboxResource).status ?? {} };
}

function says({ actions }: Plan): Record<string, string> {
  const written = actions.find((action) => action.kind === "patchStatus")?.object as SandboxResource | undefined;
  const conditions = written?.status?.conditions ?? [];
  return Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

function kinds({ actions }: Plan): readonly string[] {
  return actions.map((action: Action) =>
    "resource" in action ? `${action.kind} ${action.resource.plural}` : action.kind,
  );
}

const sandboxOf = (spec: Partial<SandboxSpecResource>, status: SandboxStatusResource = FIRST) =>
  sampleSandbox(spec, { status });
const podOf = (...containers: readonly ContainerStatus[]): Pod => samplePod(runningStatus(...containers));

describe("plan()", () => {
  it("takes hold of a sandbox that others made before anything else", () => {
    const sandbox = sampleSandbox({}, { metadata: { finalizers: ["x/y"] } });
    expect(planOf({ sandbox }).actions).toEqual([
      expect.objectContaining({ kind: "setFinalizers", finalizers: ["x/y", "sandbox.isola.run/cleanup"] }),
    ]);
  });

  it("creates the pod, after the policy it needs, and says nothing while the start goes well", () => {
    expect(kinds(planOf({}))).toEqual(["create pods", "event"]);
    const sandbox = sandboxOf({ network: { allowedEgressCIDRs: ["1.0.0.0/8"] } });
    expect(kinds(planOf({ sandbox }))).toEqual(["apply networkpolicies", "create pods", "event"]);
    const pending = planOf({ pod: samplePod({ containerStatuses: [waiting("main", "ContainerCreating")] }) });
    expect(pending).toEqual({ actions: [], nextDeadlineMs: CREATED_MS + 91_000 });
  });

  it("says everything at once when the sandbox runs, and then nothing more", () => {
    const sandbox = sandboxOf({ timeoutSeconds: 60 });
    const pod = samplePod(runningStatus(), {
      annotations: { [ANNOTATION.sidecarVersion]: "1.0.0" },
    });
    const first = planOf({ sandbox, pod });
    expect(says(first)).toEqual({
      Ready: "True PodRunning",
      PodReady: "True PodRunning",
      NetworkConfigured: "True NetworkPolicyApplied",
    });
    const ready = after(first, sandbox);
    expect(ready.status).toMatchObject({
      podIP: "10.0.0.9",
      timeoutAt: "2026-01-01T00:01:01Z",
      sidecarVersion: "1.0.0",
    });
    expect(planOf({ sandbox: ready, pod })).toEqual({ actions: [], nextDeadlineMs: CREATED_MS + 61_000 });
  });

  it("stays Running when the pod is no longer ready, and says so of the pod", () => {
    const sandbox = after(planOf({ pod: podOf() }), sandboxOf({}));
    const pod = samplePod({ ...runningStatus(), conditions: [{ type: "Ready", status: "False" }] });
    expect(says(planOf({ sandbox, pod }))).toMatchObject({ Ready: "True PodRunning", PodReady: "False PodPending" });
  });

  it.each([
    { what: "exit 0", pod: podOf(exited("main", 0)), ready: "PodSucceeded", succeeded: "True PodSucceeded" },
    { what: "exit 3", pod: podOf(exited("main", 3)), ready: "PodFailed", succeeded: "False PodFailed" },
    {
      what: "no memory",
      pod: podOf(exited("main", 128, { reason: "OOMKilled" })),
      ready: "PodFailed",
      succeeded: "False PodFailed",
      cause: "True OutOfMemory",
    },
    {
      what: "no image",
      pod: samplePod({ containerStatuses: [waiting("main", "ErrImagePull", "not found")] }),
      ready: "PodFailed",
      succeeded: "False PodFailed",
      cause: "True ImageNotFound",
    },
  ])("latches $what, tells people, and ends the pod", ({ pod, ready, succeeded, cause }) => {
    const sandbox = sandboxOf({});
    const first = planOf({ sandbox, pod });
    expect(kinds(first)).toEqual(["patchStatus sandboxes", "event", "remove pods"]);
    expect(says(first)).toMatchObject({ Ready: `False ${ready}`, Succeeded: succeeded });
    expect(says(first)["Cause"]).toBe(cause);
    const ended = after(first, sandbox);
    expect(ended.status?.podIP).toBeUndefined();
    const pods = [samplePod({}, { deletionTimestamp: "2026-01-01T00:00:11Z" }), undefined];
    for (const next of pods) expect(planOf({ sandbox: ended, ...(next && { pod: next }) }).actions).toEqual([]);
  });

  it("ends a lifetime as a success, and keeps its record for a moment", () => {
    const sandbox = after(planOf({ sandbox: sandboxOf({ timeoutSeconds: 9 }), pod: podOf() }, LATER - 1000), {
      ...sandboxOf({ timeoutSeconds: 9 }),
    });
    const end = planOf({ sandbox, pod: podOf() });
    expect(says(end)).toMatchObject({ Ready: "False Timeout", Succeeded: "True Timeout" });
    expect(end.nextDeadlineMs).toBe(LATER + 30_000);
    const ended = after(end, sandbox);
    expect(planOf({ sandbox: ended }, LATER + 29_999)).toEqual({ actions: [], nextDeadlineMs: LATER + 30_000 });
    expect(kinds(planOf({ sandbox: ended }, LATER + 30_000))).toEqual(["remove sandboxes"]);
  });

  it("ends a start that takes too long, and names what it waited for", () => {
    const pod = samplePod({ containerStatuses: [waiting("main", "ErrImagePull", "connection refused")] });
    const waits = planOf({ pod });
    expect(says(waits)).toEqual({ Ready: "Unknown PodPending", PodReady: "False PodPending" });
    const sandbox = after(waits, sandboxOf({}));
    expect(planOf({ sandbox, pod }).actions).toEqual([]);
    const end = planOf({ sandbox, pod }, CREATED_MS + 91_000);
    expect(says(end)).toMatchObject({ Succeeded: "False StartupTimeoutExceeded" });
    expect(after(end, sandbox).status?.conditions?.[0]?.message).toMatch(
      /90 s after its creation\. Image .* cannot be pulled/,
    );
    expect(end.nextDeadlineMs).toBe(CREATED_MS + 91_000 + 3_600_000);
  });

  it("asks the API server itself before it calls a sandbox lost or lets it go", () => {
    const sandbox = after(planOf({ pod: podOf() }), sandboxOf({}));
    expect(planOf({ sandbox })).toEqual({ actions: [], confirm: true });
    expect(planOf({ podSeen: true })).toEqual({ actions: [], confirm: true });
    expect(says(planOf({ sandbox, isFresh: true }))).toMatchObject({ Cause: "True SandboxLost" });
    const going = sampleSandbox({}, { metadata: { deletionTimestamp: "2026-01-01T00:00:09Z" } });
    expect(planOf({ sandbox: going })).toEqual({ actions: [], confirm: true });
    expect(planOf({ sandbox: going, isFresh: true }).actions).toEqual([
      expect.objectContaining({ kind: "setFinalizers", finalizers: [] }),
    ]);
  });

  it("lets a deleted sandbox go only when its pod is gone, and takes no snapshot where none are taken", () => {
    const deletionTimestamp = "2026-01-01T00:00:09Z";
    const terminationPolicy = { type: "SnapshotRootfs", snapshotRootfs: { timeoutSeconds: 300 } } as const;
    const sandbox = sampleSandbox({ terminationPolicy }, { metadata: { deletionTimestamp }, status: FIRST });
    const first = planOf({ sandbox, pod: podOf() });
    expect(kinds(first)).toEqual(["patchStatus sandboxes", "remove pods"]);
    expect(says(first)).toEqual({ Ready: "False Deleting", RootfsSnapshot: "False NoRootfsSnapshot" });
    const going = samplePod(runningStatus(), { deletionTimestamp });
    expect(planOf({ sandbox: after(first, sandbox), pod: going })).toEqual({ actions: [] });
  });

  it("makes no pod before the fence stands, and has no deadline meanwhile", () => {
    const held = planOf({ hold: "No fence." }, LATER + 1e9);
    expect(kinds(held)).toEqual(["patchStatus sandboxes"]);
    expect(says(held)).toMatchObject({ Ready: "Unknown PodPending" });
  });

  it("tries a refused pod again in time, until the start has taken too long", () => {
    const creationFault = { message: "Quota.", isFinal: false, retryAtMs: LATER + 500 };
    const refused = planOf({ creationFault });
    expect(says(refused)).toEqual({ Ready: "False PodCreationFailed", PodReady: "False PodCreationFailed" });
    expect(refused.nextDeadlineMs).toBe(LATER + 500);
    const sandbox = after(refused, sandboxOf({}));
    expect(kinds(planOf({ sandbox, creationFault }, LATER + 500))).toEqual(["create pods", "event"]);
    expect(says(planOf({ sandbox, creationFault }, CREATED_MS + 90_000))).toMatchObject({
      Succeeded: "False StartupTimeoutExceeded",
    });
    expect(says(planOf({ creationFault: { ...creationFault, isFinal: true } }))).toMatchObject({
      Ready: "False PodCreationFailed",
      Succeeded: "False PodFailed",
      Cause: "True PodCreationFailed",
    });
    const pod = samplePod({});
    expect(says(planOf({ sandbox, pod }))).toEqual({ Ready: "Unknown PodPending", PodReady: "False PodPending" });
  });

  it("removes a sandbox that nobody confirmed, at the version it saw", () => {
    const sandbox = sampleSandbox(
      {},
      { metadata: { annotations: { [ANNOTATION.provisional]: "true" } }, status: FIRST },
    );
    const pod = podOf();
    expect(planOf({ sandbox, pod }).nextDeadlineMs).toBe(CREATED_MS + 300_000);
    expect(planOf({ sandbox, pod }, CREATED_MS + 300_000).actions).toEqual([
      expect.objectContaining({ kind: "remove", uid: "uid-a", resourceVersion: "1" }),
    ]);
  });

  it("puts back a policy that was removed or changed", () => {
    const sandbox = sandboxOf({ network: { allowedEgressCIDRs: ["1.0.0.0/8"] } });
    const wanted = planOf({ sandbox }).actions[0];
    if (wanted?.kind !== "apply") throw new TypeError("No policy is applied");
    const policy = wanted.object as NonNullable<ObservedSandbox["policy"]>;
    const pod = samplePod({});
    expect(kinds(planOf({ sandbox, pod }))).toEqual(["apply networkpolicies"]);
    expect(planOf({ sandbox, pod, policy }).actions).toEqual([]);
    const opened = { ...policy, spec: { ...policy.spec, egress: [{}] } };
    expect(kinds(planOf({ sandbox, pod, policy: opened }))).toEqual(["apply networkpolicies"]);
  });
});
