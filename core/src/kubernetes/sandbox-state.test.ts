import { describe, expect, it } from "vitest";
import type { Condition } from "#api/crd/object.ts";
import { CAUSE, contractReason, sandboxState } from "./sandbox-state.ts";

const at = "2026-01-02T03:04:05Z";
const condition = (type: string, status: Condition["status"], reason: string, message = ""): Condition => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: at,
});
const state = (conditions: readonly Condition[], deletionTimestamp?: string) =>
  sandboxState({
    metadata: { name: "a", ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) },
    status: { conditions },
  });

describe("sandboxState()", () => {
  it("is Pending before anybody has written a status", () => {
    expect(sandboxState({ metadata: { name: "a" } })).toEqual({ phase: "Pending" });
  });

  it.each([
    { conditions: [condition("Ready", "Unknown", "PodPending", "waits")], phase: "Pending", message: "waits" },
    { conditions: [condition("Ready", "True", "PodRunning")], phase: "Running", startedAtMs: Date.parse(at) },
    { conditions: [condition("Ready", "False", "Deleting")], phase: "Terminating", reason: "Deleting" },
    {
      conditions: [condition("Ready", "False", "RootfsSnapshottingInProgress")],
      phase: "Terminating",
      reason: "RootfsSnapshottingInProgress",
    },
    {
      conditions: [condition("Ready", "False", "Timeout"), condition("Succeeded", "True", "Timeout")],
      phase: "Succeeded",
      reason: "Timeout",
      endedAtMs: Date.parse(at),
    },
    { conditions: [condition("Succeeded", "False", "PodFailed")], phase: "Failed", reason: "PodFailed" },
  ])("is $phase for $conditions", ({ conditions, ...expected }) => {
    expect(state(conditions)).toMatchObject(expected);
  });

  it("names the precise reason of an end where there is one", () => {
    const conditions = [
      condition("Ready", "False", "PodFailed", "coarse"),
      condition("Succeeded", "False", "PodFailed", "coarse"),
      condition(CAUSE, "True", "ImageNotFound", "fine"),
    ];
    expect(state(conditions)).toMatchObject({ phase: "Failed", reason: "ImageNotFound", message: "fine" });
  });

  it("is Terminating with a deletion time, unless the end came first", () => {
    const running = condition("Ready", "True", "PodRunning");
    expect(state([running], at)).toMatchObject({ phase: "Terminating", reason: "Deleting" });
    expect(state([running, condition("Succeeded", "True", "PodSucceeded")], at).phase).toBe("Succeeded");
  });

  it("passes on no reason that the product does not know", () => {
    expect(state([condition("Succeeded", "False", "toString")]).reason).toBeUndefined();
  });
});

describe("contractReason()", () => {
  it("gives a reason of the contract, which stays itself", () => {
    expect(contractReason("OutOfMemory")).toBe("PodFailed");
    expect(contractReason(contractReason("SandboxLost"))).toBe(contractReason("SandboxLost"));
    expect(contractReason("Timeout")).toBe("Timeout");
  });
});
