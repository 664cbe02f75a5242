import { describe, expect, it } from "vitest";
import { RootfsSnapshotSpecResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import { snapshotState } from "./snapshot-state.ts";

const at = "2026-01-02T03:04:05Z";
const atMs = Date.parse(at);
const spec = RootfsSnapshotSpecResource.parse({ sandboxName: "box" });
const succeeded = (status: "True" | "False" | "Unknown", reason: string, message = "") => ({
  conditions: [{ type: "Succeeded", status, reason, message, lastTransitionTime: at }],
});
const state = (status: object) => snapshotState({ spec, status: RootfsSnapshotStatusResource.parse(status) });
const result = {
  containerName: "main",
  writeId: "w1",
  snapshotKey: "rootfssnapshots/ns/box.json",
  bytes: 7,
  base: { image: "debian" },
};

describe("snapshotState()", () => {
  it("is Pending before anybody has written a status", () => {
    expect(snapshotState({ spec })).toEqual({ phase: "Pending" });
  });

  it.each([
    { what: "begun", status: { startTime: at }, expected: { phase: "Running", startedAtMs: atMs } },
    {
      what: "under way",
      status: { startTime: at, progress: { phase: "Uploading", bytesDone: 1 } },
      expected: { phase: "Running", progress: { phase: "Uploading", bytesDone: 1 } },
    },
    {
      what: "waiting",
      status: succeeded("Unknown", "WaitingForTurn", "It waits."),
      expected: { phase: "Pending", reason: "WaitingForTurn", message: "It waits." },
    },
    {
      what: "failed",
      status: { ...succeeded("False", "StoreFailed", "No."), completionTime: at },
      expected: { phase: "Failed", reason: "StoreFailed", completedAtMs: atMs, expiresAtMs: atMs + 300_000 },
    },
    {
      what: "complete",
      status: { ...succeeded("True", "Succeeded"), startTime: at, completionTime: at, ...result },
      expected: { phase: "Succeeded", result: { ...result, warnings: [] } },
    },
  ])("tells what is $what", ({ status, expected }) => expect(state(status)).toMatchObject(expected));

  it("reads what Isola's operator has written", () => {
    const failed = state({ ...succeeded("False", "Failed", "The job failed."), completionTime: at });
    expect(failed).toMatchObject({ phase: "Failed", message: "The job failed." });
    expect(failed).not.toHaveProperty("reason");
    const done = state({ ...succeeded("True", "Succeeded"), snapshotKey: "rootfssnapshots/ns/box.tar" });
    expect(done).toEqual({ phase: "Succeeded", completedAtMs: atMs, expiresAtMs: atMs + 300_000 });
  });
});
