import { BLOCK, CHAR, FIFO, REGULAR, SYMLINK } from "./erofs-format.ts";
import type { TarEntry } from "./tar-header.ts";
import { isFolder, typeOf, type TreeNode } from "./tree.ts";

export interface UpperMember {
  readonly entry: TarEntry;
  /** Whose bytes follow. */
  readonly node: TreeNode;
}

/**
 * What of a tree gVisor's EROFS cannot show: attributes, devices and pipes. It goes into the layer
 * above, which gVisor fills from a tar archive at a container's start. Only what layers brought:
 * an image's own is as it is without them. Each folder on the way has its member; none is opaque.
 */
export function upperMembers(root: TreeNode): UpperMember[] {
  const chosen: { path: string; node: TreeNode }[] = [];
  const pending: { path: string; node: TreeNode }[] = [{ path: ".", node: root }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (needsUpper(next.node)) chosen.push(next);
    if (!isFolder(next.node)) continue;
    for (const [name, node] of next.node.children) pending.push({ path: `${next.path}/${name}`, node });
  }
  if (chosen.length === 0) return [];
  const members = new Map<string, TreeNode>([[".", root]]);
  for (const { path, node } of chosen) {
    members.set(path, node);
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
      const folder = path.slice(0, at);
      if (members.has(folder)) break;
      members.set(folder, nodeAt(root, folder));
    }
  }
  const first = new Map<TreeNode, string>();
  return [...members]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, node]) => {
      const linkName = first.get(node);
      if (linkName === undefined) first.set(node, path);
      return { entry: entryOf(path, node, linkName), node };
    });
}

function needsUpper(node: TreeNode): boolean {
  if (!node.isLayered) return false;
  const type = typeOf(node);
  return node.xattrs !== undefined || type === CHAR || type === BLOCK || type === FIFO;
}

function nodeAt(root: TreeNode, path: string): TreeNode {
  let node = root;
  for (const part of path.split("/").slice(1)) node = node.children?.get(part) ?? node;
  return node;
}

function entryOf(path: string, node: TreeNode, linkName: string | undefined): TarEntry {
  return {
    type: linkName === undefined ? tarType(node) : "link",
    name: isFolder(node) ? `${path}/` : path,
    linkName: linkName ?? node.target ?? "",
    bytes: linkName === undefined && typeOf(node) === REGULAR ? node.bytes : 0,
    mode: node.mode & 0o7777,
    uid: node.uid,
    gid: node.gid,
    seconds: node.seconds,
    nanoseconds: 0,
    major: node.device?.major ?? 0,
    minor: node.device?.minor ?? 0,
    xattrs: linkName === undefined ? (node.xattrs ?? []) : [],
  };
}

function tarType(node: TreeNode): TarEntry["type"] {
  if (isFolder(node)) return "folder";
  const type = typeOf(node);
  if (type === SYMLINK) return "symlink";
  if (type === CHAR) return "char";
  if (type === BLOCK) return "block";
  return type === FIFO ? "fifo" : "file";
}
