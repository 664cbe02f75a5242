import { ArchiveFault } from "../../archive/archive-fault.ts";
import { RestoreFault } from "../../domain/restore/restore-fault.ts";
import { isSnapshotFault, SnapshotFault } from "../../domain/snapshot-fault.ts";
import { snapshotFailure } from "../snapshot/snapshot-reason.ts";

/** Any fault of a restore in one sentence; `isDamage` = what lies in the store is not what it should be. */
export function restoreFault(error: unknown): { readonly message: string; readonly isDamage: boolean } {
  if (error instanceof RestoreFault) return { message: error.message, isDamage: false };
  if (error instanceof ArchiveFault)
    return { message: `The snapshot cannot be restored: ${error.message}.`, isDamage: true };
  const { reason, message } = snapshotFailure(error);
  if (reason === "DiskFull" && !(error instanceof SnapshotFault))
    return { message: "The disk of the node has too little room to restore from.", isDamage: false };
  return { message, isDamage: isSnapshotFault(error, "damaged") };
}
