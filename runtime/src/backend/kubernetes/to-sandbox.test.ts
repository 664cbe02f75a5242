import { describe, expect, it } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { byCreation, toSandbox } from "./to-sandbox.ts";

const CREATED = "2026-11-01T10:00:00Z";
const createdAtMs = Date.parse(CREATED);

interface Draft {
  readonly metadata?: object;
  readonly spec?: object;
  readonly status?: object;
}

function resource({ metadata = {}, spec = {}, status = {} }: Draft = {}): SandboxResource {
  return {
    metadata: { name: "box", namespace: "boxes", uid: "u", creationTimestamp: CREATED, ...metadata },
    spec: {
      podTemplate: { spec: { containers: [{ name: "main", image: "debian" }] } },
      startupTimeoutSeconds: 90,
      ...spec,
    },
    status,
  };
}

const condition = (type: string, status: string, reason: string, at = CREATED): object => ({
  type,
  status,
  reason,
  message: `because of ${reason}`,
  lastTransitionTime: at,
});
const pending = { conditions: [condition("Ready", "Unknown", "PodPending")] };

describe("toSandbox()", () => {
  it("runs as soon as its agent answers, before the operator says so", () => {
    expect(toSandbox(resource({ status: pending }), undefined)).toMatchObject({
      phase: "Pending",
      reason: "PodPending",
    });
    const running = toSandbox(resource({ status: pending }), createdAtMs + 1500);
    expect(running).toMatchObject({ phase: "Running", reason: "PodRunning", startedAtMs: createdAtMs + 1500 });
    expect(running).not.toHaveProperty("message");
  });

  it("waits for a snapshot as the mounter of its node says, unless the operator knows more", () => {
    const restore = (phase: string, more: object = {}) => ({
      containerName: "main",
      snapshotName: "kept",
      phase,
      ...more,
    });
    const of = (restores: readonly object[], ready: object = pending) => {
      const { phase, reason, message } = toSandbox(
        resource({ status: { ...ready, rootfsRestores: restores } }),
        undefined,
      );
      return { phase, reason, message };
    };
    const told = { phase: "Pending", reason: "WaitingForSnapshot", message: "It is not there." };
    expect(of([restore("Waiting", { message: "It is not there." })])).toEqual(told);
    expect(of([restore("Fetching"), restore("Waiting", { message: "It is not there." })])).toEqual(told);
    expect(of([restore("Waiting")]).message).toContain('the snapshot "kept"');
    expect(of([restore("Ready"), restore("Fetching")])).toMatchObject({
      reason: "PodPending",
      message: 'The snapshot "kept" is being brought to its node.',
    });
    for (const phase of ["Ready", "Failed"])
      expect(of([restore(phase)])).toEqual({
        phase: "Pending",
        reason: "PodPending",
        message: "because of PodPending",
      });
    const more = { conditions: [condition("Ready", "False", "NetworkPolicyFailed")] };
    expect(of([restore("Waiting")], more)).toMatchObject({ phase: "Pending", reason: "NetworkPolicyFailed" });
    const ended = { conditions: [condition("Succeeded", "False", "StartupTimeoutExceeded")] };
    expect(of([restore("Waiting")], ended)).toMatchObject({ phase: "Failed", reason: "StartupTimeoutExceeded" });
  });

  it("never began before it was created, whatever the clocks say", () => {
    expect(toSandbox(resource({ status: pending }), createdAtMs - 9000).startedAtMs).toBe(createdAtMs);
  });

  it.each([
    {
      what: "an end",
      metadata: {},
      status: { conditions: [condition("Succeeded", "False", "PodFailed")] },
      phase: "Failed",
    },
    { what: "a removal", metadata: { deletionTimestamp: CREATED }, status: pending, phase: "Terminating" },
  ])("believes $what more than an agent that answered", ({ metadata, status, phase }) => {
    expect(toSandbox(resource({ metadata, status }), createdAtMs).phase).toBe(phase);
  });

  it("began where its lifetime counts from, while it runs and afterwards", () => {
    const status = {
      timeoutAt: "2026-11-01T10:00:12Z",
      conditions: [condition("Ready", "True", "PodRunning", "2026-11-01T10:00:05Z")],
    };
    const spec = { timeoutSeconds: 10 };
    expect(toSandbox(resource({ spec, status }), createdAtMs + 4000).startedAtMs).toBe(createdAtMs + 2000);
    const conditions = [condition("Succeeded", "True", "Timeout", "2026-11-01T10:00:12Z")];
    expect(toSandbox(resource({ spec, status: { ...status, conditions } }), undefined)).toMatchObject({
      phase: "Succeeded",
      startedAtMs: createdAtMs + 2000,
      endedAtMs: createdAtMs + 12_000,
    });
  });
});

describe("byCreation()", () => {
  it("orders by the API server's second, then by the creator's clock, then by name", () => {
    const make = (name: string, creationTimestamp: string, ms?: string): SandboxResource =>
      resource({
        metadata: {
          name,
          creationTimestamp,
          ...(ms === undefined ? {} : { annotations: { "atoll.run/created-at-ms": ms } }),
        },
      });
    const later = "2026-11-01T10:00:01Z";
    const ordered = [
      make("no-clock", CREATED),
      make("odd-clock", CREATED, "soon"),
      make("z", CREATED, "5"),
      make("a", CREATED, "7"),
      make("b", CREATED, "7"),
      make("fast-clock", later, "1"),
    ];
    expect(ordered.toReversed().toSorted(byCreation)).toEqual(ordered);
  });
});
