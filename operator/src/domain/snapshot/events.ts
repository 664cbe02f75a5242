import type { SnapshotState } from "#core/kubernetes/snapshot-state.ts";
import type { EventDraft } from "../action.ts";

/** What is told of a record that has ended. */
export function snapshotEndEvent({ phase, reason, message, result }: SnapshotState): EventDraft {
  if (phase === "Succeeded") {
    const where = result === undefined ? "" : ` as ${result.snapshotKey}, ${result.bytes} bytes`;
    return {
      type: "Normal",
      reason: "SnapshotComplete",
      action: "TakeSnapshot",
      note: `The snapshot was kept${where}.`,
    };
  }
  const note = message ?? `The snapshot failed: ${reason ?? "its mounter named no cause"}.`;
  return { type: "Warning", reason: "SnapshotFailed", action: "TakeSnapshot", note };
}
