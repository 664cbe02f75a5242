import { describe, expect, it } from "vitest";
import { decideTermination, terminationRequest, type TerminationFacts } from "./decide-termination.ts";

const facts: TerminationFacts = { timeoutSeconds: 300, fromMs: 1000 };
const obstacle = { reason: "InvalidRuntime", message: "The runtime is another one." } as const;

describe("decideTermination", () => {
  it.each<[string, Partial<TerminationFacts>, number, object]>([
    ["takes one, and tells the deadline to keep", {}, 5000, { kind: "take", deadlineAtMs: 301_000 }],
    ["keeps the deadline that was told first", { deadlineAtMs: 9000 }, 5000, { kind: "take", deadlineAtMs: 9000 }],
    ["waits for the one begun", { snapshot: { phase: "Running" } }, 5000, { kind: "wait", deadlineAtMs: 301_000 }],
    [
      "lets go when it is complete",
      { snapshot: { phase: "Succeeded" } },
      400_000,
      { kind: "finish", reason: "RootfsSnapshotComplete" },
    ],
    [
      "lets go when it failed, with the reason",
      { snapshot: { phase: "Failed", message: "No." } },
      5000,
      { kind: "finish", reason: "RootfsSnapshotFailed", message: "No." },
    ],
    [
      "lets go at the deadline, whatever is under way",
      { snapshot: { phase: "Running" } },
      301_000,
      { kind: "finish", reason: "RootfsSnapshotTimeout" },
    ],
    [
      "lets go at the deadline when none could be begun",
      {},
      301_000,
      { kind: "finish", reason: "RootfsSnapshotTimeout" },
    ],
    ["lets go when none can be taken", { obstacle }, 5000, { kind: "finish", ...obstacle }],
    ["waits for one begun before the obstacle", { obstacle, snapshot: { phase: "Running" } }, 5000, { kind: "wait" }],
  ])("%s", (_, more, nowMs, expected) => {
    expect(decideTermination({ ...facts, ...more }, nowMs)).toMatchObject(expected);
  });

  it("counts from now at the end of a lifetime", () => {
    expect(decideTermination({ timeoutSeconds: 2 }, 5000)).toEqual({ kind: "take", deadlineAtMs: 7000 });
  });
});

describe("terminationRequest", () => {
  it("is of the first container, under the sandbox's name unless the policy names another", () => {
    const snapshotRootfs = { timeoutSeconds: 9 };
    expect(terminationRequest("box", { type: "SnapshotRootfs", snapshotRootfs })).toEqual({
      id: "box-termination",
      spec: { sandboxId: "box", snapshotName: "box", timeoutSeconds: 9, ttlSecondsAfterFinished: 300 },
    });
    const named = { type: "SnapshotRootfs", snapshotRootfs: { snapshotName: "last", timeoutSeconds: 9 } } as const;
    expect(terminationRequest("box", named)?.spec.snapshotName).toBe("last");
  });

  it("is none when the policy asks for none", () => {
    expect(terminationRequest("box", undefined)).toBeUndefined();
    expect(terminationRequest("box", { type: "Delete" })).toBeUndefined();
  });
});
