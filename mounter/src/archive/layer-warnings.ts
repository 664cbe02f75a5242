import type { SnapshotWarning } from "#api/snapshot-manifest.ts";
import { showPath } from "./byte-string.ts";
import type { PlannedEntry } from "./planned-entry.ts";
import { sizeText } from "./size-text.ts";

const MOST_EXAMPLES = 5;
/** Holes that are worth a word: they become data when the layer is restored. */
const NOTABLE_HOLE_BYTES = 1024 * 1024;
/** What a layer does not hold as it was in the container, as far as the layer itself shows it. */
export function layerWarnings(planned: readonly PlannedEntry[]): SnapshotWarning[] {
  let holeBytes = 0;
  const holed: string[] = [];
  const clamped: string[] = [];
  for (const { facts, body } of planned) {
    if (facts.kind === "hardLink") continue;
    if (facts.mtimeSeconds !== body.mtimeSeconds) clamped.push(facts.path);
    const holes = facts.sizeBytes - (facts.kind === "file" ? body.heldBytes : 0);
    if (holes < NOTABLE_HOLE_BYTES) continue;
    holed.push(facts.path);
    holeBytes += holes;
  }
  const warnings: SnapshotWarning[] = [];
  if (holed.length > 0)
    warnings.push(
      warning("HolesFilled", `Holes in files take their full size of ${sizeText(holeBytes)} when restored.`, holed),
    );
  if (clamped.length > 0)
    warnings.push(
      warning("TimesOutOfRange", "Modification times outside of 1678 to 2262 are kept as the nearest within.", clamped),
    );
  return warnings;
}

function warning(code: string, message: string, paths: readonly string[]): SnapshotWarning {
  return { code, message, count: paths.length, examples: paths.slice(0, MOST_EXAMPLES).map(showPath) };
}
