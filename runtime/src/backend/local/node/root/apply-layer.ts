import { BLOCK, CHAR, FIFO, FOLDER, REGULAR, SYMLINK } from "./erofs-format.ts";
import { malformed, type TarEntry } from "./tar-header.ts";
import type { LocatedEntry } from "./tar-reader.ts";
import { isFolder, type Content, type TreeMeter, type TreeNode } from "./tree.ts";

const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 65_536;
const MAX_LINK_BYTES = 4095;
/** gVisor's own marks of its upper layers. */
const OVERLAY_PREFIX = "trusted.overlay.";
const OPAQUE = "trusted.overlay.opaque";

const MODES: Readonly<Record<Exclude<TarEntry["type"], "link">, number>> = {
  file: REGULAR,
  symlink: SYMLINK,
  char: CHAR,
  block: BLOCK,
  folder: FOLDER,
  fifo: FIFO,
};

export interface LayerApplication {
  /** Says where a file's bytes lie. */
  readonly place: (located: LocatedEntry) => Content;
  readonly meter: TreeMeter;
  /** Names that this layer has deleted so far. */
  readonly deleted: Set<string>;
}

/**
 * Puts one member of a layer onto a tree. All happens in memory and by exact names, without a
 * look at any file system: there is nothing that a name could escape to.
 */
export function applyEntry(root: TreeNode, located: LocatedEntry, how: LayerApplication): void {
  const { entry } = located;
  const parts = partsOf(entry.name, entry.type === "folder");
  how.meter.add(costOf(entry));
  const name = parts.at(-1);
  if (name === undefined) return applyRoot(root, entry);
  const parent = parentOf(root, parts);
  if (isDeletion(entry, how.deleted)) {
    how.deleted.add(parts.join("/"));
    return void parent.children.delete(name);
  }
  if (entry.type === "link") return void parent.children.set(name, linkTarget(root, entry));
  const before = parent.children.get(name);
  const node = nodeOf(entry);
  if (entry.type === "folder") node.children = isFolder(before) && !isOpaque(entry) ? before.children : new Map();
  if (entry.bytes > 0) node.content = how.place(located);
  parent.children.set(name, node);
}

/** gVisor's marks of deletion are character devices of no number, and may be hard links to each other. */
function isDeletion(entry: TarEntry, deleted: ReadonlySet<string>): boolean {
  if (entry.type === "link") return deleted.has(partsOf(entry.linkName, false).join("/"));
  return entry.type === "char" && entry.major === 0 && entry.minor === 0;
}

function applyRoot(root: TreeNode, entry: TarEntry): void {
  if (entry.type !== "folder") throw malformed("a root that is no folder");
  const { children } = root;
  Object.assign(root, nodeOf(entry), { children: isOpaque(entry) ? new Map() : children });
}

function nodeOf(entry: Omit<TarEntry, "type"> & { readonly type: TarEntry["type"] }): TreeNode {
  const xattrs = entry.xattrs.filter(([name]) => !name.startsWith(OVERLAY_PREFIX));
  return {
    mode: (entry.type === "link" ? 0 : MODES[entry.type]) | entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    seconds: entry.seconds,
    nanoseconds: entry.nanoseconds,
    bytes: entry.bytes,
    isLayered: true,
    ...(entry.type === "symlink" ? { target: targetOf(entry) } : {}),
    ...(entry.type === "char" || entry.type === "block" ? { device: { major: entry.major, minor: entry.minor } } : {}),
    ...(xattrs.length > 0 ? { xattrs } : {}),
  };
}

function targetOf({ linkName }: TarEntry): string {
  if (linkName === "" || linkName.length > MAX_LINK_BYTES || linkName.includes("\0"))
    throw malformed("a symlink without a proper target");
  return linkName;
}

function linkTarget(root: TreeNode, entry: TarEntry): TreeNode {
  const parts = partsOf(entry.linkName, false);
  const node = parentOf(root, parts).children.get(parts.at(-1) ?? "");
  if (node === undefined || isFolder(node)) throw malformed("a hard link to something that is not there");
  return node;
}

function parentOf(root: TreeNode, parts: readonly string[]): TreeNode & { children: Map<string, TreeNode> } {
  let node: TreeNode | undefined = root;
  for (const part of parts.slice(0, -1)) node = node?.children?.get(part);
  if (!isFolder(node)) throw malformed("a file without its folder");
  return node;
}

/** The parts of a name such as `./a/b`; none for the root itself. */
function partsOf(name: string, isFolderName: boolean): string[] {
  if (name.length > MAX_PATH_BYTES || name.includes("\0") || name.startsWith("/")) throw malformed("an improper name");
  const trimmed = isFolderName && name.endsWith("/") ? name.slice(0, -1) : name;
  const parts = trimmed.split("/");
  if (parts[0] === ".") parts.shift();
  const isProper = (part: string): boolean =>
    part !== "" && part !== "." && part !== ".." && part.length <= MAX_NAME_BYTES;
  if (!parts.every(isProper)) throw malformed("an improper name");
  return parts;
}

function isOpaque({ xattrs }: TarEntry): boolean {
  return xattrs.some(([name, value]) => name === OPAQUE && value === "y");
}

function costOf({ name, linkName, xattrs }: TarEntry): number {
  return xattrs.reduce((sum, [key, value]) => sum + key.length + value.length, name.length + linkName.length);
}
