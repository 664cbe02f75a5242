import { comparePlaces } from "./page-of.ts";
import { isFinished, type Snapshot } from "./snapshot.ts";

/** What `turnOf` says of each of these records, which all write one name: who goes first, by the id of who waits. */
export function turnsOf(
  records: Iterable<Pick<Snapshot, "id" | "createdAtMs" | "phase">>,
): ReadonlyMap<string, string> {
  const open = [...records].filter(({ phase }) => !isFinished(phase)).sort(comparePlaces);
  return new Map(open.slice(1).map(({ id }, i) => [id, open[i]?.id ?? ""]));
}
