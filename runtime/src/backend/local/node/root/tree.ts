import { FOLDER, REGULAR, TYPE_MASK } from "./erofs-format.ts";
import { RootFault } from "./root-fault.ts";

/** Where a regular file's bytes lie: in blocks of the image's own file, or in a layer. */
export type Content =
  | { readonly kind: "block"; readonly block: number }
  | { readonly kind: "layer"; readonly layer: number; readonly offset: number };

/** A file, folder or anything else that has a name; hard links share one. */
export interface TreeNode {
  mode: number;
  uid: number;
  gid: number;
  seconds: bigint;
  nanoseconds: number;
  /** Length of a regular file. */
  bytes: number;
  content?: Content;
  /** Target of a symlink. */
  target?: string;
  /** What a device of the image has in its inode; major and minor of a layer's. */
  raw?: number;
  device?: { readonly major: number; readonly minor: number };
  /** As layers have them: ACLs in base64, other values as bytes. */
  xattrs?: readonly (readonly [name: string, value: string])[];
  /** True when it came with a layer. */
  isLayered: boolean;
  /** Of a folder only. */
  children?: Map<string, TreeNode>;
}

export function isFolder(node: TreeNode | undefined): node is TreeNode & { children: Map<string, TreeNode> } {
  return node?.children !== undefined;
}

export function typeOf(node: TreeNode): number {
  return node.mode & TYPE_MASK;
}

export function makeFolder(mode: number): TreeNode & { children: Map<string, TreeNode> } {
  return { ...bare(FOLDER | mode), children: new Map() };
}

/** An empty regular file. */
export function makeFile(mode: number): TreeNode {
  return bare(REGULAR | mode);
}

function bare(mode: number): TreeNode {
  return { mode, uid: 0, gid: 0, seconds: 0n, nanoseconds: 0, bytes: 0, isLayered: true };
}

/** What a tree may cost: memory while it is made, and disk. */
export interface TreeLimits {
  /** Names in the image and all layers together. */
  readonly maxEntries: number;
  /** Bytes of names, links and extended attributes. */
  readonly maxNameBytes: number;
  /** Bytes of all files, each counted as a block at least. */
  readonly maxBytes: number;
}

/** Counts what is put into a tree, and refuses beyond the limits. */
export class TreeMeter {
  private readonly limits: TreeLimits;
  private entries = 0;
  private nameBytes = 0;

  constructor(limits: TreeLimits) {
    this.limits = limits;
  }

  add(nameBytes: number): void {
    this.entries += 1;
    this.nameBytes += nameBytes;
    const { maxEntries, maxNameBytes } = this.limits;
    if (this.entries > maxEntries) throw new RootFault("unusable", `it has more than ${maxEntries} files and folders`);
    if (this.nameBytes > maxNameBytes)
      throw new RootFault("unusable", `its names and attributes have more than ${maxNameBytes} bytes`);
  }

  checkBytes(bytes: number): void {
    const { maxBytes } = this.limits;
    if (bytes > maxBytes) throw new RootFault("unusable", `its files have more than ${maxBytes} bytes`);
  }
}
