import type { SnapshotProgress } from "#api/snapshot.ts";
import { lateFailure } from "#core/snapshot/decide-snapshot.ts";
import type { SnapshotReason } from "#core/snapshot/snapshot.ts";

/** Why a snapshot is not taken, by whoever knows it best: a code and one sentence for people. */
export class RecordFault extends Error {
  readonly reason: SnapshotReason;

  constructor(reason: SnapshotReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RecordFault";
    this.reason = reason;
  }
}

/** The fault of a record whose time is over: what its work is aborted with. */
export function recordLate(timeoutSeconds: number, progress?: SnapshotProgress): RecordFault {
  const { reason, message } = lateFailure(timeoutSeconds, progress === undefined ? {} : { progress });
  return new RecordFault(reason, message);
}
