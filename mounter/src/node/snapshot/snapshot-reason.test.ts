import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ArchiveFault, type ArchiveFaultCode } from "../../archive/archive-fault.ts";
import { StoreError, type StoreErrorKind } from "../../storage/store-error.ts";
import { RecordFault, recordLate } from "../../domain/record-fault.ts";
import { SnapshotFault, type SnapshotFaultCode } from "../../domain/snapshot-fault.ts";
import { snapshotFailure } from "./snapshot-reason.ts";

describe("snapshotFailure()", () => {
  test.each<[ArchiveFaultCode, string]>([
    ["damaged", "ArchiveInvalid"],
    ["invalid", "ArchiveInvalid"],
    ["unsupported", "ArchiveInvalid"],
    ["too-large", "TooLarge"],
    ["not-found", "DumpFailed"],
  ])("an archive that is %s is %s", (code, reason) => {
    expect(snapshotFailure(new ArchiveFault(code, "entry 3 is cut"))).toEqual({
      reason,
      message: "The container's changes cannot be kept: entry 3 is cut.",
    });
  });

  test.each<[SnapshotFaultCode, string]>([
    ["absent", "StoreFailed"],
    ["damaged", "StoreFailed"],
    ["gone", "StoreFailed"],
    ["full", "DiskFull"],
    ["changing", "StoreFailed"],
    ["unsure", "StoreFailed"],
  ])("a snapshot's fault %s is %s", (code, reason) => {
    expect(snapshotFailure(new SnapshotFault(code, "Why."))).toEqual({ reason, message: "Why." });
  });

  test.each<[StoreErrorKind, string]>([
    ["denied", "StoreDenied"],
    ["absent", "StoreFailed"],
    ["changed", "StoreFailed"],
    ["unavailable", "StoreFailed"],
    ["full", "StoreFailed"],
    ["invalid", "StoreFailed"],
  ])("a store's error %s is %s", (kind, reason) => {
    expect(snapshotFailure(new StoreError(kind, "Cannot write a."))).toEqual({ reason, message: "Cannot write a." });
  });

  test("a fault that knows its reason keeps it, and so does a deadline", () => {
    const ended = new RecordFault("ContainerEnded", "It has ended.");
    expect(snapshotFailure(ended)).toEqual({ reason: "ContainerEnded", message: "It has ended." });
    expect(snapshotFailure(recordLate(30))).toEqual({
      reason: "DeadlineExceeded",
      message: "The snapshot was not complete 30 s after its creation.",
    });
  });

  test("finds what counts behind the wrappers of streams and aborted calls", () => {
    const wrapped = new Error("The operation was aborted", { cause: new Error("cut", { cause: recordLate(1) }) });
    expect(snapshotFailure(wrapped).reason).toBe("DeadlineExceeded");
    const own = new RecordFault("ContainerEnded", "It has ended.", { cause: new StoreError("denied", "No.") });
    expect(snapshotFailure(own).reason).toBe("ContainerEnded");
  });

  test.each(["ENOSPC", "EDQUOT"])("%s anywhere is a full disk", (code) => {
    expect(snapshotFailure(Object.assign(new Error("write failed at /secret/path"), { code }))).toEqual({
      reason: "DiskFull",
      message: "The disk of the machine has too little room to take the snapshot.",
    });
  });

  test("what nobody has words for says nothing of itself", () => {
    for (const unknown of [new TypeError("password=hunter2"), "password=hunter2", undefined]) {
      const { reason, message } = snapshotFailure(unknown);
      expect([reason, message.includes("hunter2")]).toEqual(["DumpFailed", false]);
    }
    const round = new Error("round");
    round.cause = round;
    expect(snapshotFailure(round).reason).toBe("DumpFailed");
  });

  test("is one line of bounded length whatever a sandbox names its files", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 3000 }), (name) => {
        const { message } = snapshotFailure(new ArchiveFault("invalid", name));
        expect(message.length).toBeLessThanOrEqual(1025);
        // oxlint-disable-next-line no-control-regex -- there is to be none
        expect(message).not.toMatch(/[\u0000-\u001f\u2028\u2029]/);
        expect(message).toMatch(/[.!?…]$/);
      }),
    );
  });
});
