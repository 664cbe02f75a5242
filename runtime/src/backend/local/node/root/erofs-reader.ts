import { readSync } from "node:fs";
import {
  BLOCK,
  BLOCK_BYTES,
  CHAR,
  FOLDER,
  INODE_BYTES,
  inodeOffset,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  parseDirents,
  parseInode,
  parseSuperBlock,
  REGULAR,
  SYMLINK,
  TYPE_MASK,
  type Inode,
} from "./erofs-format.ts";
import { RootFault } from "./root-fault.ts";
import type { TreeMeter, TreeNode } from "./tree.ts";

/** Longest folder or link that is read; both are far shorter in any image. */
const MAX_METADATA_BYTES = 64 * 2 ** 20;

/** Reads all names and inodes of an EROFS file; the files' bytes stay where they are. */
export function readErofs(fd: number, meter: TreeMeter): TreeNode {
  const superBlock = parseSuperBlock(read(fd, 0, BLOCK_BYTES));
  /** Files with several names are one node. */
  const linked = new Map<number, TreeNode>();

  function nodeAt(nid: number): TreeNode {
    const known = linked.get(nid);
    if (known !== undefined) return known;
    const offset = inodeOffset(superBlock, nid);
    const { inode, inlineOffset } = parseInode(read(fd, offset, INODE_BYTES, true), superBlock);
    const node: TreeNode = {
      mode: inode.mode,
      uid: inode.uid,
      gid: inode.gid,
      seconds: inode.seconds,
      nanoseconds: inode.nanoseconds,
      bytes: 0,
      isLayered: false,
    };
    const type = inode.mode & TYPE_MASK;
    if (type === REGULAR) addContent(node, inode);
    else if (type === SYMLINK) node.target = dataOf(inode, offset + inlineOffset).toString("latin1");
    else if (type === CHAR || type === BLOCK) node.raw = inode.raw;
    else if (type === FOLDER) node.children = childrenOf(inode, offset + inlineOffset);
    if (inode.links > 1 && type !== FOLDER) linked.set(nid, node);
    return node;
  }

  function childrenOf(inode: Inode, inlineAt: number): Map<string, TreeNode> {
    const data = dataOf(inode, inlineAt);
    const children = new Map<string, TreeNode>();
    for (let at = 0; at < data.length; at += BLOCK_BYTES) {
      for (const { name, nid } of parseDirents(data.subarray(at, at + BLOCK_BYTES))) {
        if (name === "." || name === "..") continue;
        meter.add(name.length);
        children.set(name, nodeAt(nid));
      }
    }
    return children;
  }

  /** A folder's or link's bytes: whole blocks, and what does not fill one beside the inode. */
  function dataOf({ layout, dataBytes, raw }: Inode, inlineAt: number): Buffer {
    if (dataBytes > MAX_METADATA_BYTES) throw new RootFault("unusable", "the image has too large a folder");
    const inlineBytes = layout === LAYOUT_INLINE ? dataBytes % BLOCK_BYTES : 0;
    if (layout !== LAYOUT_INLINE && layout !== LAYOUT_PLAIN) throw compressed();
    const plain = read(fd, raw * BLOCK_BYTES, dataBytes - inlineBytes);
    return inlineBytes === 0 ? plain : Buffer.concat([plain, read(fd, inlineAt, inlineBytes)]);
  }

  return nodeAt(superBlock.rootNid);
}

function addContent(node: TreeNode, { layout, dataBytes, raw }: Inode): void {
  if (layout !== LAYOUT_PLAIN) throw compressed();
  node.bytes = dataBytes;
  if (dataBytes > 0) node.content = { kind: "block", block: raw };
}

function compressed(): RootFault {
  return new RootFault("unusable", "the image's file is compressed");
}

function read(fd: number, offset: number, length: number, mayBeShort = false): Buffer {
  const bytes = Buffer.alloc(length);
  const count = length === 0 ? 0 : readSync(fd, bytes, 0, length, offset);
  if (count < length && !mayBeShort) throw new RootFault("unusable", "the image's file is cut");
  return bytes;
}
