import { isFinished, type Snapshot } from "./snapshot.ts";
import { comparePlaces } from "./page-of.ts";

/**
 * Id of the unfinished record that goes before this one because both write the same name; undefined
 * when it is this one's turn. One at a time and in the order of creation, so that the last one
 * asked for is what the name means in the end.
 */
export function turnOf(
  record: Pick<Snapshot, "id" | "spec" | "createdAtMs">,
  all: Iterable<Pick<Snapshot, "id" | "spec" | "createdAtMs" | "phase">>,
): string | undefined {
  let before: { readonly id: string; readonly createdAtMs: number } | undefined;
  for (const other of all) {
    if (isFinished(other.phase) || other.spec.snapshotName !== record.spec.snapshotName) continue;
    if (comparePlaces(other, record) >= 0) continue;
    if (before === undefined || comparePlaces(other, before) > 0) before = other;
  }
  return before?.id;
}
