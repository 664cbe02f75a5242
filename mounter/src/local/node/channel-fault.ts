import type { MounterFault } from "#api/mounter-channel.ts";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import { SnapshotFault, type SnapshotFaultCode } from "../../domain/snapshot-fault.ts";
import { snapshotFailure } from "../../node/snapshot/snapshot-reason.ts";
import { StoreError } from "../../storage/store-error.ts";

const SNAPSHOT_CODES: Readonly<Record<SnapshotFaultCode, MounterFault["code"]>> = {
  absent: "absent",
  damaged: "damaged",
  gone: "gone",
  full: "full",
  unsure: "unsure",
  changing: "unavailable",
};

/** Reasons that this program finds by itself; others are the gateway's. */
const REASONS: ReadonlySet<string> = new Set<MounterFault["reason"]>([
  "DumpFailed",
  "DiskFull",
  "TooLarge",
  "ArchiveInvalid",
  "StoreDenied",
  "StoreFailed",
]);

/** Any fault as the gateway is told it. */
export function channelFault(error: unknown): MounterFault {
  const { reason, message } = snapshotFailure(error);
  return { code: codeOf(error), reason: isOwn(reason) ? reason : "DumpFailed", message };
}

function codeOf(error: unknown): MounterFault["code"] {
  if (error instanceof SnapshotFault) return SNAPSHOT_CODES[error.code];
  if (error instanceof ArchiveFault) return "damaged";
  if (error instanceof StoreError) {
    const { kind } = error;
    if (kind === "changed") return "gone";
    return kind === "absent" || kind === "denied" || kind === "unavailable" ? kind : "other";
  }
  return error instanceof Error && "code" in error && error.code === "ENOSPC" ? "full" : "other";
}

function isOwn(reason: string): reason is MounterFault["reason"] {
  return REASONS.has(reason);
}
