import { byteString } from "#mounter/archive/byte-string.ts";
import { OPAQUE_XATTR, isOpaque, isWhiteout, pathKey, type EntryHead } from "#mounter/archive/entry-head.ts";
import type { SampleEntry } from "./sample-layer.ts";

/** A file system as it is: what has one object is one file under several names. */
export type ModelTree = ReadonlyMap<string, SampleEntry>;

/** What a layer does to a file system, said as plainly as possible. */
export function applyLayer(tree: ModelTree, layer: readonly SampleEntry[]): ModelTree {
  const result = new Map(tree);
  const sorted = layer.toSorted((a, b) => (a.head.path < b.head.path ? -1 : 1));
  const bodies = new Map(layer.map((each) => [each.head.path, each]));
  for (const each of sorted) {
    const key = pathKey(each.head.path);
    const body = each.head.kind === "hardLink" ? bodies.get(each.head.target) : each;
    const staysFolder = each.head.kind === "folder" && !isOpaque(each.head) && result.get(key)?.head.kind === "folder";
    if (!staysFolder) for (const other of result.keys()) if (other.startsWith(`${key}/`)) result.delete(other);
    if (body === undefined || isWhiteout(body.head)) result.delete(key);
    else result.set(key, body);
  }
  return result;
}

/** A tree for comparison: each name with what it is, and the first name of the same file. */
export function describeTree(tree: ModelTree): readonly unknown[] {
  const firsts = new Map<SampleEntry, string>();
  return [...tree]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, sample]) => {
      if (!firsts.has(sample)) firsts.set(sample, key);
      return [key, firsts.get(sample), describeHead(sample.head), byteString(sample.data)];
    });
}

function describeHead(head: EntryHead): unknown {
  const seen = [...head.xattrs].filter(([name]) => name !== OPAQUE_XATTR);
  // A file has several names; which of them its entry has says nothing.
  return { ...head, path: undefined, xattrs: seen.toSorted(([a], [b]) => (a < b ? -1 : 1)) };
}
