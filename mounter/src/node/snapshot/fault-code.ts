import type { MounterFault } from "#api/mounter-channel.ts";
import { ArchiveFault } from "../../archive/archive-fault.ts";
import { SnapshotFault, type SnapshotFaultCode } from "../../domain/snapshot-fault.ts";
import { StoreError } from "../../storage/store-error.ts";

const SNAPSHOT_CODES: Readonly<Record<SnapshotFaultCode, MounterFault["code"]>> = {
  absent: "absent",
  damaged: "damaged",
  gone: "gone",
  full: "full",
  unsure: "unsure",
  changing: "unavailable",
};

/** Any fault as what a caller may do about it. */
export function faultCode(error: unknown): MounterFault["code"] {
  if (error instanceof SnapshotFault) return SNAPSHOT_CODES[error.code];
  if (error instanceof ArchiveFault) return "damaged";
  if (error instanceof StoreError) {
    const { kind } = error;
    if (kind === "changed") return "gone";
    return kind === "absent" || kind === "denied" || kind === "unavailable" ? kind : "other";
  }
  return error instanceof Error && "code" in error && error.code === "ENOSPC" ? "full" : "other";
}
