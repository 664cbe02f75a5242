import { closeSync, copyFileSync, constants, fstatSync, openSync, readSync, statfsSync, writeSync } from "node:fs";
import { applyEntry } from "./apply-layer.ts";
import { BLOCK_BYTES } from "./erofs-format.ts";
import { readErofs } from "./erofs-reader.ts";
import { writeAll, writeErofs } from "./erofs-writer.ts";
import { ensureMountPoints } from "./mount-points.ts";
import { RootFault } from "./root-fault.ts";
import { isZero, pad, readTar } from "./tar-reader.ts";
import { encodeHeader, TAR_END } from "./tar-writer.ts";
import { isFolder, TreeMeter, type TreeLimits, type TreeNode } from "./tree.ts";
import { upperMembers } from "./upper-tar.ts";

/** All that the program is told; paths of this machine, never of a layer. */
export interface BuildOrder {
  /** The image's EROFS file. */
  readonly base: string;
  /** From the bottom to the top. */
  readonly layers: readonly { readonly path: string; readonly tarDigest: string }[];
  /** Neither may exist. */
  readonly erofs: string;
  readonly upperTar: string;
  readonly limits: TreeLimits & {
    /** Largest archive of what EROFS cannot show: each sandbox pays twice its size in memory. */
    readonly maxUpperBytes: number;
    /** Free disk that is left in any case. */
    readonly reserveBytes: number;
  };
}

export interface BuildResult {
  /** Length of the upper archive; 0 = none is needed and none was made. */
  readonly upperBytes: number;
}

const COPY_BYTES = 2 ** 20;
/** Between two looks at the free disk. */
const WATCH_BYTES = 64 * 2 ** 20;

/** Makes a root's files: an EROFS file of image and layers, and an archive of what that cannot show. */
export function buildRoot(order: BuildOrder): BuildResult {
  const meter = new TreeMeter(order.limits);
  const base = openSync(order.base, "r");
  const layers = order.layers.map(({ path }) => openSync(path, "r"));
  try {
    const root = readErofs(base, meter);
    for (const [layer, fd] of layers.entries()) {
      const how = { layer, meter, deleted: new Set<string>() };
      const digest = readTar(fd, (located) => applyEntry(root, located, how));
      if (digest !== order.layers[layer]?.tarDigest)
        throw new RootFault("corrupt", `layer ${layer + 1} of it is damaged: its digest is ${digest}`);
    }
    ensureMountPoints(root);
    writeRoot(order, root, { base, layers, meter });
    return { upperBytes: writeUpper(order, root) };
  } finally {
    for (const fd of [base, ...layers]) closeSync(fd);
  }
}

function writeRoot(
  order: BuildOrder,
  root: TreeNode,
  from: { readonly base: number; readonly layers: readonly number[]; readonly meter: TreeMeter },
): void {
  const nodes = layeredFiles(root);
  const baseBytes = fstatSync(from.base).size;
  const neededBytes = nodes.reduce((sum, { bytes }) => sum + padBlock(bytes), 0);
  from.meter.checkBytes(baseBytes + neededBytes);
  const watch = watchDisk(order);
  watch(baseBytes);
  // Where the file system can, both files share their blocks.
  copyFileSync(order.base, order.erofs, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  const out = openSync(order.erofs, "r+");
  try {
    let block = Math.ceil(baseBytes / BLOCK_BYTES);
    const chunk = Buffer.allocUnsafe(COPY_BYTES);
    for (const node of nodes) {
      if (node.content?.kind !== "layer") continue;
      const { layer, offset } = node.content;
      copyContent(from.layers[layer] ?? -1, out, { chunk, offset, bytes: node.bytes, to: block * BLOCK_BYTES, watch });
      node.content = { kind: "block", block };
      block += Math.ceil(node.bytes / BLOCK_BYTES);
    }
    writeErofs(out, root, block);
  } finally {
    closeSync(out);
  }
}

/** Files whose bytes lie in a layer and are still part of the tree, each once. */
function layeredFiles(root: TreeNode): TreeNode[] {
  const files = new Set<TreeNode>();
  const pending = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (node.content?.kind === "layer") files.add(node);
    if (isFolder(node)) for (const child of node.children.values()) pending.push(child);
  }
  return [...files];
}

interface Copy {
  readonly chunk: Buffer;
  readonly offset: number;
  readonly bytes: number;
  readonly to: number;
  readonly watch: (bytes: number) => void;
}

/** Zeros are left out: they are holes of the file, and take no disk. */
function copyContent(from: number, out: number, { chunk, offset, bytes, to, watch }: Copy): void {
  for (let at = 0; at < bytes;) {
    const count = readSync(from, chunk, 0, Math.min(COPY_BYTES, bytes - at), offset + at);
    if (count === 0) throw new RootFault("corrupt", "a layer of it was cut while it was read");
    const part = chunk.subarray(0, count);
    if (!isZero(part)) {
      watch(count);
      writeAll(out, part, to + at);
    }
    at += count;
  }
}

function writeUpper(order: BuildOrder, root: TreeNode): number {
  const members = upperMembers(root);
  if (members.length === 0) return 0;
  const heads = members.map(({ entry }) => encodeHeader(entry));
  const total = members.reduce(
    (sum, { entry }, index) => sum + pad(entry.bytes) + (heads[index]?.length ?? 0),
    TAR_END.length,
  );
  if (total > order.limits.maxUpperBytes) {
    const words = `its files with extended attributes, devices and pipes have ${total} bytes, more than ${order.limits.maxUpperBytes}`;
    throw new RootFault("unusable", words);
  }
  const out = openSync(order.upperTar, "wx", 0o600);
  const data = openSync(order.erofs, "r");
  try {
    for (const [index, { entry, node }] of members.entries()) {
      writeSync(out, heads[index] ?? Buffer.alloc(0));
      if (entry.bytes > 0 && node.content?.kind === "block") appendContent(data, out, node.content.block, entry.bytes);
    }
    writeSync(out, TAR_END);
    return total;
  } finally {
    closeSync(data);
    closeSync(out);
  }
}

function appendContent(data: number, out: number, block: number, bytes: number): void {
  const padded = Buffer.alloc(pad(bytes));
  readSync(data, padded, 0, bytes, block * BLOCK_BYTES);
  for (let at = 0; at < padded.length;) at += writeSync(out, padded, at);
}

/** Refuses to go on when what was and will be written leaves less than the reserve. */
function watchDisk({ base, limits }: BuildOrder): (bytes: number) => void {
  let leftBytes = 0;
  return (bytes) => {
    leftBytes -= bytes;
    if (leftBytes >= 0) return;
    const { bavail, bsize } = statfsSync(base);
    if (bavail * bsize - bytes < limits.reserveBytes) throw new RootFault("disk-full", "the disk is full");
    leftBytes = WATCH_BYTES;
  };
}

function padBlock(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}
