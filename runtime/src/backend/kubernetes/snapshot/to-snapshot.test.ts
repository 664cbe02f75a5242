import { describe, expect, it } from "vitest";
import type { RootfsSnapshotResource } from "#api/crd/rootfs-snapshot.ts";
import { ANNOTATION } from "#core/kubernetes/names.ts";
import { toSnapshot, toSnapshotResource } from "./to-snapshot.ts";

const AT = "2026-11-01T10:00:00Z";
const atMs = Date.parse(AT);
const spec = {
  sandboxId: "box",
  snapshotName: "kept",
  containerName: "main",
  timeoutSeconds: 60,
  ttlSecondsAfterFinished: 0,
};

/** As the API server keeps what was sent. */
function kept(status: RootfsSnapshotResource["status"] = {}, nowMs = atMs): RootfsSnapshotResource {
  const sent = toSnapshotResource({ id: "one", spec, requestDigest: "digest" }, { namespace: "boxes", nowMs });
  return { ...sent, metadata: { ...sent.metadata, uid: "u", creationTimestamp: AT }, status };
}

describe("toSnapshot()", () => {
  it("gives back what was asked for", () => {
    expect(toSnapshot(kept({}, atMs + 250))).toEqual({
      id: "one",
      spec,
      phase: "Pending",
      createdAtMs: atMs + 250,
      requestDigest: "digest",
    });
  });

  it("names the container that was chosen where none was asked for", () => {
    const record = kept({ containerName: "main" });
    const { containerName: _, ...rest } = record.spec;
    expect(toSnapshot({ ...record, spec: rest }).spec.containerName).toBe("main");
    expect(toSnapshot({ ...record, spec: rest, status: {} }).spec).not.toHaveProperty("containerName");
  });

  it("keeps the order of its times, though others tell whole seconds", () => {
    const conditions = [
      { type: "Succeeded", status: "False", reason: "DiskFull", message: "No room.", lastTransitionTime: AT },
    ] as const;
    const snapshot = toSnapshot(kept({ startTime: AT, completionTime: AT, conditions }, atMs + 900));
    expect(snapshot).toMatchObject({ createdAtMs: atMs + 900, startedAtMs: atMs + 900, completedAtMs: atMs + 900 });
    // The shortest life of a record, from its end.
    expect(snapshot.expiresAtMs).toBe(atMs + 5900);
    expect(snapshot).toMatchObject({ phase: "Failed", reason: "DiskFull", message: "No room." });
  });

  it("of an object without the gateway's marks has no digest and the second of its creation", () => {
    const { metadata, ...rest } = kept();
    const { annotations, ...bare } = metadata;
    expect(annotations).toHaveProperty(ANNOTATION.createdAtMs);
    expect(toSnapshot({ ...rest, metadata: bare })).toMatchObject({ requestDigest: "", createdAtMs: atMs });
  });
});
