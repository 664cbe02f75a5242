import { describe, expect, test } from "vitest";
import type { RootfsSnapshotResource, RootfsSnapshotStatusResource } from "#api/crd/rootfs-snapshot.ts";
import { endPatch, publishPatch, type RecordEnd } from "./record-patch.ts";

const NOW_MS = Date.parse("2026-11-22T10:00:00.999Z");
const NOW = "2026-11-22T10:00:00Z";
const result = {
  containerName: "main",
  writeId: "w1",
  snapshotKey: "rootfssnapshots/team/work.json",
  bytes: 7,
  base: { image: "debian:13" },
  warnings: [],
};
const recordOf = (status: RootfsSnapshotStatusResource): RootfsSnapshotResource => ({
  metadata: { name: "record" },
  spec: { sandboxName: "box", timeoutSeconds: 60, ttlSecondsAfterFinished: 60 },
  status,
});

describe("endPatch()", () => {
  const waiting = {
    type: "Succeeded",
    status: "Unknown",
    reason: "WaitingForTurn",
    message: "",
    lastTransitionTime: NOW,
  } as const;
  const other = { ...waiting, type: "Other" };

  test("says the end once, beside conditions of others, and takes away what was only on the way", () => {
    const end: RecordEnd = { kind: "failed", reason: "DiskFull", message: "No room." };
    expect(endPatch(recordOf({ conditions: [waiting, other] }), end, NOW_MS)).toEqual({
      status: {
        conditions: [
          other,
          { type: "Succeeded", status: "False", reason: "DiskFull", message: "No room.", lastTransitionTime: NOW },
        ],
        completionTime: NOW,
        progress: null,
        settle: null,
      },
    });
  });

  test("says what was written, and nothing anew that was said before", () => {
    const end: RecordEnd = { kind: "succeeded", result };
    expect(endPatch(recordOf({}), end, NOW_MS)).toMatchObject({ status: result });
    const known = recordOf({ containerName: "main", base: { image: "debian:13", digest: `sha256:${"a".repeat(64)}` } });
    const { containerName: _name, base: _base, ...rest } = result;
    const { status } = endPatch(known, end, NOW_MS);
    expect(status).toMatchObject({ ...rest, conditions: [{ status: "True", reason: "Succeeded" }] });
    expect(Object.keys(status)).not.toEqual(expect.arrayContaining(["base"]));
    expect(Object.keys(status)).not.toEqual(expect.arrayContaining(["containerName"]));
  });
});

test("publishPatch() promises no more than it means: the fraction of the second is dropped", () => {
  expect(publishPatch(NOW_MS)).toEqual({ status: { publishBy: NOW } });
});
