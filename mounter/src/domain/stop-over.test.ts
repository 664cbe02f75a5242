import { describe, expect, test } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { isStopOver } from "./stop-over.ts";

function sandboxOf(
  reason?: string,
  type: "SnapshotRootfs" | "Delete" = "SnapshotRootfs",
): Pick<SandboxResource, "spec" | "status"> {
  const at = "2026-11-22T10:00:00Z";
  const said =
    reason === undefined
      ? []
      : [{ type: "RootfsSnapshot", status: "False", reason, message: "", lastTransitionTime: at } as const];
  return {
    spec: { startupTimeoutSeconds: 90, podTemplate: { spec: { containers: [] } }, terminationPolicy: { type } },
    status: { conditions: said },
  };
}

describe("isStopOver()", () => {
  test.each([
    "NoRootfsSnapshot",
    "RootfsSnapshotComplete",
    "RootfsSnapshotFailed",
    "RootfsSnapshotTimeout",
    "InvalidRuntime",
  ])("%s lets the containers stop", (reason) => expect(isStopOver(sandboxOf(reason))).toBe(true));

  test.each([undefined, "RootfsSnapshottingInProgress", "SomethingNew"])("%s does not", (reason) => {
    expect(isStopOver(sandboxOf(reason))).toBe(false);
  });

  test("nobody waits for a sandbox that is gone or wants no snapshot", () => {
    expect([isStopOver(undefined), isStopOver(sandboxOf(undefined, "Delete"))]).toEqual([true, true]);
  });
});
