import { ArchiveFault } from "./archive-fault.ts";
import { showPath } from "./byte-string.ts";
import { isWhiteout, parentKey, pathKey } from "./entry-head.ts";
import type { IndexedEntry } from "./layer-index.ts";

/** A name in a layer that is to be written, and the entry of some archive that says what it is. */
export interface LayerNode {
  readonly path: string;
  /** Names with one body are hard links of each other. */
  readonly body: IndexedEntry;
  /** Which archive the body lies in. */
  readonly source: number;
  readonly isOpaque: boolean;
}

/** The names of one archive, over those of the layers below it, which its links may lead to. */
export function nodesOf(
  entries: readonly IndexedEntry[],
  source: number,
  below: ReadonlyMap<string, LayerNode> = new Map<string, LayerNode>(),
): LayerNode[] {
  const bodies = new Map(entries.map((entry) => [entry.path, entry]));
  return entries.map((entry) => {
    const { path, isOpaque } = entry;
    if (entry.kind !== "hardLink") return { path, body: entry, source, isOpaque };
    const own = bodies.get(entry.target);
    if (own !== undefined) return { path, body: own, source, isOpaque };
    const lower = below.get(pathKey(entry.target));
    if (lower === undefined || lower.body.kind === "folder" || isWhiteout(lower.body))
      throw new ArchiveFault(
        "invalid",
        `the archive's entry "${showPath(path)}" is a hard link to "${showPath(entry.target)}", which no layer has`,
      );
    return { path, body: lower.body, source: lower.source, isOpaque: false };
  });
}

/**
 * One layer that does to every image what two do, one after the other. Both are sorted by path, so
 * that a folder comes before what lies in it; the result is sorted too.
 */
export function mergeNodes(below: readonly LayerNode[], above: readonly LayerNode[]): LayerNode[] {
  const upper = new Map(above.map((node) => [pathKey(node.path), node]));
  /** What is seen of the layer below when the one above lies over it, before single names are replaced. */
  const seen = new Map<string, LayerNode>();
  for (const node of below) {
    const key = pathKey(node.path);
    const parent = parentKey(key);
    if (parent === undefined || (seen.has(parent) && letsThrough(upper.get(parent), seen.get(parent))))
      seen.set(key, node);
  }
  const merged: LayerNode[] = [];
  for (const [key, node] of seen) if (!upper.has(key)) merged.push(node);
  for (const [key, node] of upper) merged.push(over(node, seen.get(key)));
  return withoutNeedless(merged.sort((a, b) => (a.path < b.path ? -1 : 1)));
}

/** Whether what lies in a folder of the layer below shows through what the layer above has in its place. */
function letsThrough(upper: LayerNode | undefined, lower: LayerNode | undefined): boolean {
  if (upper === undefined) return true;
  return upper.body.kind === "folder" && !upper.isOpaque && lower?.body.kind === "folder";
}

/**
 * A name of the layer above. A folder that takes the place of something else hid the image's folder of
 * this name only together with it: alone it has to say so.
 */
function over(upper: LayerNode, lower: LayerNode | undefined): LayerNode {
  if (upper.body.kind !== "folder" || lower === undefined) return upper;
  return { ...upper, isOpaque: upper.isOpaque || lower.isOpaque || lower.body.kind !== "folder" };
}

/** Without deletions where nothing of the image is seen anyway: equal trees have equal layers. */
function withoutNeedless(sorted: readonly LayerNode[]): LayerNode[] {
  const hiding = new Set<string>();
  return sorted.filter((node) => {
    const key = pathKey(node.path);
    const parent = parentKey(key);
    const isHidden = parent !== undefined && hiding.has(parent);
    if (isHidden && isWhiteout(node.body)) return false;
    if (node.body.kind === "folder" && (isHidden || node.isOpaque)) hiding.add(key);
    return true;
  });
}
