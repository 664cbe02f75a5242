import { ftruncateSync, readSync, writeSync } from "node:fs";
import {
  BLOCK,
  BLOCK_BYTES,
  changeSuperBlock,
  CHAR,
  DIRENT_TYPES,
  encodeDirents,
  encodeInode,
  FIRST_INODE_OFFSET,
  FOLDER,
  INODE_BYTES,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  nidAt,
  REGULAR,
  type Dirent,
} from "./erofs-format.ts";
import { RootFault } from "./root-fault.ts";
import { isFolder, typeOf, type TreeNode } from "./tree.ts";

const MAX_BLOCK = 2 ** 32 - 1;

interface Placed {
  readonly node: TreeNode;
  readonly offset: number;
  readonly ino: number;
  readonly parent: TreeNode;
  links: number;
  /** A folder's or link's bytes, when they lie beside the inode. */
  readonly isInline: boolean;
  readonly dataBytes: number;
}

/**
 * Appends metadata for a tree to an EROFS file whose data blocks are written, and makes the file
 * speak of it. Answers the number of blocks.
 */
export function writeErofs(fd: number, root: TreeNode, firstFreeBlock: number): number {
  const placed = place(root);
  let nextBlock = firstFreeBlock;
  const append = (data: Buffer): number => {
    const block = nextBlock;
    nextBlock += Math.ceil(data.length / BLOCK_BYTES);
    if (nextBlock > MAX_BLOCK) throw new RootFault("unusable", "it is larger than a file system may be");
    writeAll(fd, data, block * BLOCK_BYTES);
    return block;
  };
  const table = Buffer.alloc(placed.tableBytes);
  for (const entry of placed.byNode.values()) {
    const data = dataOf(entry, placed.byNode);
    let raw = rawOf(entry.node);
    if (data !== undefined && entry.isInline) data.copy(table, entry.offset + INODE_BYTES);
    else if (data !== undefined) raw = append(data);
    const { mode, uid, gid, seconds, nanoseconds } = entry.node;
    encodeInode(table, entry.offset, entry.ino, {
      layout: entry.isInline ? LAYOUT_INLINE : LAYOUT_PLAIN,
      mode: shownMode(entry.node, mode),
      links: entry.links,
      dataBytes: entry.dataBytes,
      raw,
      uid,
      gid,
      seconds,
      nanoseconds,
    });
  }
  const metaBlock = append(table);
  ftruncateSync(fd, nextBlock * BLOCK_BYTES);
  const first = Buffer.alloc(BLOCK_BYTES);
  readSync(fd, first, 0, BLOCK_BYTES, 0);
  const rootNid = nidAt(placed.byNode.get(root)?.offset ?? 0);
  changeSuperBlock(first, { rootNid, inodes: placed.byNode.size, blocks: nextBlock, metaBlock });
  writeAll(fd, first, 0);
  return nextBlock;
}

/** Gives each node its place in the table of inodes; the root is first. */
function place(root: TreeNode): { byNode: Map<TreeNode, Placed>; tableBytes: number } {
  const byNode = new Map<TreeNode, Placed>();
  let end = FIRST_INODE_OFFSET;
  const pending: { node: TreeNode; parent: TreeNode }[] = [{ node: root, parent: root }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { node, parent } = next;
    const known = byNode.get(node);
    if (known !== undefined) {
      known.links += 1;
      continue;
    }
    const dataBytes = dataBytesOf(node);
    const isInline = typeOf(node) !== REGULAR && dataBytes > 0 && INODE_BYTES + dataBytes <= BLOCK_BYTES;
    const length = INODE_BYTES + (isInline ? dataBytes : 0);
    // What lies beside an inode may not reach into the next block.
    const room = BLOCK_BYTES - (end % BLOCK_BYTES);
    const offset = length > room ? end + room : end;
    const folders = isFolder(node) ? [...node.children.values()].filter(isFolder).length : 0;
    const links = isFolder(node) ? 2 + folders : 1;
    byNode.set(node, { node, parent, offset, ino: byNode.size + 1, links, isInline, dataBytes });
    end = offset + Math.ceil(length / 32) * 32;
    if (isFolder(node)) for (const child of node.children.values()) pending.push({ node: child, parent: node });
  }
  return { byNode, tableBytes: end };
}

function dataBytesOf(node: TreeNode): number {
  if (isFolder(node)) return encodeDirents(direntsOf(node, () => 0, 0)).length;
  return node.target?.length ?? node.bytes;
}

function dataOf({ node, parent }: Placed, byNode: ReadonlyMap<TreeNode, Placed>): Buffer | undefined {
  const nidOf = (of: TreeNode): number => nidAt(byNode.get(of)?.offset ?? 0);
  if (isFolder(node)) return encodeDirents(direntsOf(node, nidOf, nidOf(parent)));
  return node.target === undefined ? undefined : Buffer.from(node.target, "latin1");
}

function direntsOf(node: TreeNode, nidOf: (node: TreeNode) => number, parentNid: number): Dirent[] {
  const children = [...(node.children ?? [])].map(([name, child]) => ({
    name,
    nid: nidOf(child),
    type: DIRENT_TYPES.get(shownMode(child, typeOf(child)) & 0o170000) ?? 0,
  }));
  const own = [
    { name: ".", nid: nidOf(node), type: DIRENT_TYPES.get(FOLDER) ?? 0 },
    { name: "..", nid: parentNid, type: DIRENT_TYPES.get(FOLDER) ?? 0 },
  ];
  return [...own, ...children].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * A device comes with the upper layer, because gVisor's EROFS shows none; below it lies an
 * empty file, so that its removal leaves a mark: a character device there would be one itself.
 */
function shownMode(node: TreeNode, mode: number): number {
  return node.isLayered && typeOf(node) === CHAR ? (mode & 0o7777) | REGULAR : mode;
}

function rawOf(node: TreeNode): number {
  if (node.content?.kind === "block") return node.content.block;
  return (typeOf(node) === CHAR || typeOf(node) === BLOCK) && !node.isLayered ? (node.raw ?? 0) : 0;
}

export function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}
