import type { SnapshotReason } from "#core/snapshot/snapshot.ts";
import { ArchiveFault, type ArchiveFaultCode } from "../../archive/archive-fault.ts";
import { StoreError } from "../../storage/store-error.ts";
import { RecordFault } from "../../domain/record-fault.ts";
import { SnapshotFault, type SnapshotFaultCode } from "../../domain/snapshot-fault.ts";

/** How a snapshot failed, as its record says it. */
export interface SnapshotFailure {
  readonly reason: SnapshotReason;
  /** One sentence for people: no secrets, no stack. */
  readonly message: string;
}

const MOST_MESSAGE = 1024;
/** Wrappers around the fault that counts; no chain of them is this long. */
const MOST_CAUSES = 8;

const ARCHIVE_REASONS: Readonly<Record<ArchiveFaultCode, SnapshotReason>> = {
  damaged: "ArchiveInvalid",
  invalid: "ArchiveInvalid",
  unsupported: "ArchiveInvalid",
  "too-large": "TooLarge",
  "not-found": "DumpFailed",
};

const SNAPSHOT_REASONS: Readonly<Record<SnapshotFaultCode, SnapshotReason>> = {
  absent: "StoreFailed",
  damaged: "StoreFailed",
  gone: "StoreFailed",
  full: "DiskFull",
  changing: "StoreFailed",
  unsure: "StoreFailed",
};

const DISK_FULL: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"]);

/** What a record says of any fault that ended the taking of its snapshot. What nobody has words for keeps them for the log. */
export function snapshotFailure(error: unknown): SnapshotFailure {
  const { reason, message } = failureOf(error);
  return { reason, message: sentence(message) };
}

function failureOf(error: unknown): SnapshotFailure {
  for (let [fault, depth] = [error, 0]; depth < MOST_CAUSES && fault instanceof Error; depth += 1) {
    const known = knownFailure(fault);
    if (known !== undefined) return known;
    fault = fault.cause;
  }
  return { reason: "DumpFailed", message: "The snapshot failed inside the mounter; its log has the reason." };
}

function knownFailure(error: Error): SnapshotFailure | undefined {
  if (error instanceof RecordFault) return error;
  if (error instanceof ArchiveFault) {
    return { reason: ARCHIVE_REASONS[error.code], message: `The container's changes cannot be kept: ${error.message}` };
  }
  if (error instanceof SnapshotFault) return { reason: SNAPSHOT_REASONS[error.code], message: error.message };
  if (error instanceof StoreError) {
    return { reason: error.kind === "denied" ? "StoreDenied" : "StoreFailed", message: error.message };
  }
  if ("code" in error && DISK_FULL.has(error.code)) {
    return { reason: "DiskFull", message: "The disk of the machine has too little room to take the snapshot." };
  }
  return undefined;
}

/** One line of bounded length that ends as sentences do: names within may be a sandbox's. */
function sentence(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what is taken out
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();
  const short =
    line.length > MOST_MESSAGE ? `${line.slice(0, MOST_MESSAGE - 1).replace(/[\ud800-\udbff]$/, "")}…` : line;
  return /[.!?…]$/.test(short) ? short : `${short}.`;
}
