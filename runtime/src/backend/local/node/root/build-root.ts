import { closeSync, copyFileSync, constants, fstatSync, openSync, readSync, statfsSync, writeSync } from "node:fs";
import { applyEntry } from "./apply-layer.ts";
import { BLOCK_BYTES } from "./erofs-format.ts";
import { readErofs } from "./erofs-reader.ts";
import { writeAll, writeErofs } from "./erofs-writer.ts";
import { CHUNK_BYTES, isZero, openLayer, type LayerFile } from "./layer-file.ts";
import { ensureMountPoints } from "./mount-points.ts";
import { RootFault } from "./root-fault.ts";
import { pad, readTar, type ContentSink, type LocatedEntry } from "./tar-reader.ts";
import { encodeHeader, TAR_END } from "./tar-writer.ts";
import { isFolder, TreeMeter, type Content, type TreeLimits, type TreeNode } from "./tree.ts";
import { upperMembers } from "./upper-tar.ts";

/** All that the program is told; paths of this machine, never of a layer. */
export interface BuildOrder {
  /** The image's EROFS file. */
  readonly base: string;
  /** From the bottom to the top. */
  readonly layers: readonly {
    readonly path: string;
    /** Absent = whoever writes it sums it up. */
    readonly tarDigest?: string;
    /** Its length when it is whole, if it is still being written. */
    readonly growsTo?: number;
  }[];
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

/** Between two looks at the free disk. */
const WATCH_BYTES = 64 * 2 ** 20;

/**
 * Makes a root's files: an EROFS file of image and layers, and an archive of what that cannot show. The
 * highest layer's bytes are put into the file as they are read, as nothing hides them; those below only
 * when it is known what is left of them.
 */
export function buildRoot(order: BuildOrder): BuildResult {
  const meter = new TreeMeter(order.limits);
  const base = openSync(order.base, "r");
  const layers = order.layers.map(({ path }) => openLayer(path));
  let data: DataBlocks | undefined;
  try {
    const root = readErofs(base, meter);
    const blocks = (data = new DataBlocks(order, fstatSync(base).size, meter));
    for (const [layer, file] of layers.entries()) {
      let sink: ContentSink | undefined;
      const place =
        layer < layers.length - 1
          ? ({ offset }: LocatedEntry): Content => ({ kind: "layer", layer, offset })
          : ({ entry }: LocatedEntry): Content => {
              const taken = blocks.take(entry.bytes);
              sink = taken.write;
              return { kind: "block", block: taken.block };
            };
      const how = { place, meter, deleted: new Set<string>() };
      const { growsTo, tarDigest } = order.layers[layer] ?? {};
      const isSummed = tarDigest !== undefined;
      const digest = readTar({ file, growsTo, isSummed }, (located) => {
        sink = undefined;
        applyEntry(root, located, how);
        return sink;
      });
      if (digest !== tarDigest)
        throw new RootFault("corrupt", `layer ${layer + 1} of it is damaged: its digest is ${digest}`);
    }
    ensureMountPoints(root);
    for (const node of layeredFiles(root)) copyContent(node, layers, blocks);
    blocks.finish(root);
    return { upperBytes: writeUpper(order, root) };
  } finally {
    data?.close();
    closeSync(base);
    for (const file of layers) file.close();
  }
}

/** The EROFS file while it is made: the image's own, and files' bytes behind it. */
class DataBlocks {
  private readonly fd: number;
  private readonly meter: TreeMeter;
  private readonly watch: (bytes: number) => void;
  private nextBlock: number;

  constructor(order: BuildOrder, baseBytes: number, meter: TreeMeter) {
    this.meter = meter;
    this.watch = watchDisk(order);
    this.nextBlock = Math.ceil(baseBytes / BLOCK_BYTES);
    meter.checkBytes(baseBytes);
    this.watch(baseBytes);
    // Where the file system can, both files share their blocks.
    copyFileSync(order.base, order.erofs, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    this.fd = openSync(order.erofs, "r+");
  }

  /** Room for a file, which is then written from its beginning to its end. */
  take(bytes: number): { readonly block: number; readonly write: ContentSink } {
    const block = this.nextBlock;
    this.nextBlock += Math.ceil(bytes / BLOCK_BYTES);
    this.meter.checkBytes(this.nextBlock * BLOCK_BYTES);
    let at = block * BLOCK_BYTES;
    const write = (part: Buffer): void => {
      // Zeros are left out: they are holes of the file, and take no disk.
      if (!isZero(part)) {
        this.watch(part.length);
        writeAll(this.fd, part, at);
      }
      at += part.length;
    };
    return { block, write };
  }

  finish(root: TreeNode): void {
    writeErofs(this.fd, root, this.nextBlock);
  }

  close(): void {
    closeSync(this.fd);
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

function copyContent(node: TreeNode, layers: readonly LayerFile[], data: DataBlocks): void {
  if (node.content?.kind !== "layer") return;
  const { layer, offset } = node.content;
  const { block, write } = data.take(node.bytes);
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, node.bytes));
  for (let at = 0; at < node.bytes;) {
    const count = layers[layer]?.read(chunk.subarray(0, node.bytes - at), offset + at) ?? 0;
    if (count === 0) throw new RootFault("corrupt", "a layer of it was cut while it was read");
    write(chunk.subarray(0, count));
    at += count;
  }
  node.content = { kind: "block", block };
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
