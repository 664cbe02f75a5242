import type { Decision, Observed } from "#core/lifecycle.ts";
import { terminationRequest } from "#core/snapshot/decide-termination.ts";
import type { Snapshot } from "#core/snapshot/snapshot.ts";
import type { Call, CreateSnapshot } from "#runtime/backend/port.ts";
import type { SandboxRecord } from "../record.ts";

/** Takes the snapshot at a sandbox's end, and resolves with its own end. */
export type TakeLast = (request: CreateSnapshot, call: Call) => Promise<Snapshot>;

/** The snapshot at a sandbox's end: what the decision has to know of it, and the taking. */
export class LastSnapshot {
  private state: Pick<Snapshot, "phase" | "message"> | undefined;
  private readonly takeLast: TakeLast;

  constructor(takeLast: TakeLast) {
    this.takeLast = takeLast;
  }

  observed(record: SandboxRecord): Pick<Observed, "snapshotAtEnd"> {
    const request = requestOf(record);
    if (request === undefined) return {};
    const { snapshotDeadlineAtMs: deadlineAtMs } = record;
    return {
      snapshotAtEnd: {
        timeoutSeconds: request.spec.timeoutSeconds,
        ...(deadlineAtMs === undefined ? {} : { deadlineAtMs }),
        ...(this.state === undefined ? {} : { snapshot: this.state }),
      },
    };
  }

  /** Begins it, or goes on to wait for the one that an earlier process began; `onEnd` when it is over. */
  follow({ kind }: NonNullable<Decision["snapshotAtEnd"]>, record: SandboxRecord, call: Call, onEnd: () => void): void {
    const request = requestOf(record);
    if (kind !== "take" || request === undefined) return;
    this.state = { phase: "Pending" };
    this.end(request, call).then(onEnd, () => undefined);
  }

  private async end(request: CreateSnapshot, call: Call): Promise<void> {
    try {
      const { phase, message } = await this.takeLast(request, call);
      if (phase === "Succeeded") this.state = { phase };
      else this.state = { phase: "Failed", ...(message === undefined ? {} : { message }) };
    } catch (error) {
      // The next process goes on with it.
      call.signal.throwIfAborted();
      call.log.error("Snapshot at the end not taken", { error });
      this.state = { phase: "Failed" };
    }
  }
}

/** Nobody ever learnt of an unanswered sandbox, so nobody wants what it held. */
function requestOf({ id, spec, createdAtMs, provisional }: SandboxRecord): CreateSnapshot | undefined {
  const wanted = provisional ? undefined : terminationRequest(id, spec.terminationPolicy);
  // Ids of sandboxes may come again, and records of snapshots last.
  return wanted === undefined ? undefined : { ...wanted, requestDigest: `${id} ${createdAtMs}` };
}
