import type { HeadFacts } from "./entry-codec.ts";
import { NO_XATTRS, OPAQUE_XATTR, type EntryHead } from "./entry-head.ts";
import type { IndexedEntry } from "./layer-index.ts";

/** An entry of a layer that is to be written. */
export interface PlannedEntry {
  readonly facts: HeadFacts;
  /** Whose attributes and data it has; a hard link has neither. */
  readonly body: IndexedEntry;
  /** Which archive the body lies in. */
  readonly source: number;
  readonly isOpaque: boolean;
}

export const OPAQUE: ReadonlyMap<string, string> = new Map([[OPAQUE_XATTR, "y"]]);

/** Whether attributes or a symbolic link's target have to be read again from the archive. */
export function needsBody({ facts, body }: PlannedEntry): boolean {
  return facts.kind === "symlink" || (facts.kind !== "hardLink" && body.recordBytes > 0);
}

/** The header of a planned entry, given what its body says when it is read again. */
export function headOf({ facts, isOpaque }: PlannedEntry, body: Partial<EntryHead>): EntryHead {
  if (facts.kind === "hardLink") return { ...facts, xattrs: NO_XATTRS };
  const { xattrs = NO_XATTRS, target = "" } = body;
  return {
    ...facts,
    target: facts.kind === "symlink" ? target : "",
    xattrs: isOpaque ? new Map([...xattrs, ...OPAQUE]) : xattrs,
  };
}
