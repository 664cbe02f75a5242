import { RootFault } from "./root-fault.ts";

export const BLOCK_BYTES = 4096;
const BLOCK_BITS = 12;
const SLOT_BYTES = 32;
const SUPER_OFFSET = 1024;
const MAGIC = 0xe0f5e1e2;
const HAS_CHECKSUM = 1;
const COMPACT_BYTES = 32;
/** All inodes that are written have this form: it alone holds times, large owners and large sizes. */
export const INODE_BYTES = 64;
export const DIRENT_BYTES = 12;
/** The root comes first, because its number has 16 bits; nothing has number 0. */
export const FIRST_INODE_OFFSET = 2 * SLOT_BYTES;

export const LAYOUT_PLAIN = 0;
export const LAYOUT_INLINE = 2;

export const TYPE_MASK = 0o170000;
export const FIFO = 0o010000;
export const CHAR = 0o020000;
export const FOLDER = 0o040000;
export const BLOCK = 0o060000;
export const REGULAR = 0o100000;
export const SYMLINK = 0o120000;

/** How a folder's entry tells the type of what it names. */
export const DIRENT_TYPES: ReadonlyMap<number, number> = new Map([
  [REGULAR, 1],
  [FOLDER, 2],
  [CHAR, 3],
  [BLOCK, 4],
  [FIFO, 5],
  [0o140000, 6],
  [SYMLINK, 7],
]);

export interface SuperBlock {
  readonly rootNid: number;
  readonly metaBlock: number;
  readonly buildSeconds: bigint;
  readonly buildNanoseconds: number;
}

/** An inode as it lies in the file; `dataBytes` counts, `raw` is its first block or a device's number. */
export interface Inode {
  readonly layout: number;
  readonly mode: number;
  readonly links: number;
  readonly dataBytes: number;
  readonly raw: number;
  readonly uid: number;
  readonly gid: number;
  readonly seconds: bigint;
  readonly nanoseconds: number;
}

/** Reads the first block of an EROFS file; throws for one that gVisor would not read either. */
export function parseSuperBlock(block: Buffer): SuperBlock {
  if (block.length < BLOCK_BYTES || block.readUInt32LE(SUPER_OFFSET) !== MAGIC) throw unreadable("no EROFS file");
  if (block.readUInt8(SUPER_OFFSET + 12) !== BLOCK_BITS) throw unreadable("other blocks than of 4096 bytes");
  if (block.readUInt32LE(SUPER_OFFSET + 80) !== 0) throw unreadable("features that gVisor does not know");
  return {
    rootNid: block.readUInt16LE(SUPER_OFFSET + 14),
    buildSeconds: block.readBigUInt64LE(SUPER_OFFSET + 24),
    buildNanoseconds: block.readUInt32LE(SUPER_OFFSET + 32),
    metaBlock: block.readUInt32LE(SUPER_OFFSET + 40),
  };
}

/** Makes a first block speak of other metadata. Its checksum is given up: the record beside the file counts. */
export function changeSuperBlock(
  block: Buffer,
  change: { readonly rootNid: number; readonly inodes: number; readonly blocks: number; readonly metaBlock: number },
): void {
  block.writeUInt32LE(0, SUPER_OFFSET + 4);
  block.writeUInt32LE((block.readUInt32LE(SUPER_OFFSET + 8) & ~HAS_CHECKSUM) >>> 0, SUPER_OFFSET + 8);
  block.writeUInt16LE(change.rootNid, SUPER_OFFSET + 14);
  block.writeBigUInt64LE(BigInt(change.inodes), SUPER_OFFSET + 16);
  block.writeUInt32LE(change.blocks, SUPER_OFFSET + 36);
  block.writeUInt32LE(change.metaBlock, SUPER_OFFSET + 40);
}

/** Where an inode lies in the file. */
export function inodeOffset(superBlock: Pick<SuperBlock, "metaBlock">, nid: number): number {
  return superBlock.metaBlock * BLOCK_BYTES + nid * SLOT_BYTES;
}

/** The number of the inode at an offset of the metadata. */
export function nidAt(offset: number): number {
  return offset / SLOT_BYTES;
}

/** Reads an inode and tells how far its inline data lies behind its beginning. */
export function parseInode(bytes: Buffer, superBlock: SuperBlock): { inode: Inode; inlineOffset: number } {
  const format = bytes.readUInt16LE(0);
  const isExtended = (format & 1) === 1;
  const xattrCount = bytes.readUInt16LE(2);
  const xattrBytes = xattrCount === 0 ? 0 : 12 + (xattrCount - 1) * 4;
  const shared = { layout: (format >> 1) & 7, mode: bytes.readUInt16LE(4) };
  if (!isExtended)
    return {
      inlineOffset: COMPACT_BYTES + xattrBytes,
      inode: {
        ...shared,
        links: bytes.readUInt16LE(6),
        dataBytes: bytes.readUInt32LE(8),
        raw: bytes.readUInt32LE(16),
        uid: bytes.readUInt16LE(24),
        gid: bytes.readUInt16LE(26),
        seconds: superBlock.buildSeconds,
        nanoseconds: superBlock.buildNanoseconds,
      },
    };
  return {
    inlineOffset: INODE_BYTES + xattrBytes,
    inode: {
      ...shared,
      dataBytes: Number(bytes.readBigUInt64LE(8)),
      raw: bytes.readUInt32LE(16),
      uid: bytes.readUInt32LE(24),
      gid: bytes.readUInt32LE(28),
      seconds: bytes.readBigInt64LE(32),
      nanoseconds: bytes.readUInt32LE(40),
      links: bytes.readUInt32LE(44),
    },
  };
}

/** Writes an inode of the long form into `bytes` at `offset`. */
export function encodeInode(bytes: Buffer, offset: number, ino: number, inode: Inode): void {
  bytes.writeUInt16LE(1 | (inode.layout << 1), offset);
  bytes.writeUInt16LE(inode.mode, offset + 4);
  bytes.writeBigUInt64LE(BigInt(inode.dataBytes), offset + 8);
  bytes.writeUInt32LE(inode.raw, offset + 16);
  bytes.writeUInt32LE(ino >>> 0, offset + 20);
  bytes.writeUInt32LE(inode.uid, offset + 24);
  bytes.writeUInt32LE(inode.gid, offset + 28);
  bytes.writeBigInt64LE(inode.seconds, offset + 32);
  bytes.writeUInt32LE(inode.nanoseconds, offset + 40);
  bytes.writeUInt32LE(inode.links, offset + 44);
}

export interface Dirent {
  readonly name: string;
  readonly nid: number;
  readonly type: number;
}

/** Reads the entries of one block of a folder. */
export function parseDirents(block: Buffer): Dirent[] {
  if (block.length < DIRENT_BYTES) throw unreadable("a folder that is cut");
  const count = Math.floor(block.readUInt16LE(8) / DIRENT_BYTES);
  if (count < 1 || count * DIRENT_BYTES > block.length) throw unreadable("a broken folder");
  const nameStart = (index: number): number =>
    index < count ? block.readUInt16LE(index * DIRENT_BYTES + 8) : block.length;
  return Array.from({ length: count }, (_, index) => {
    const at = index * DIRENT_BYTES;
    const name = block.toString("latin1", nameStart(index), nameStart(index + 1));
    // Only the last name of a block has no successor to end at, and may be followed by zeros.
    const end = index === count - 1 ? name.indexOf("\0") : -1;
    return {
      name: end < 0 ? name : name.slice(0, end),
      nid: Number(block.readBigUInt64LE(at)),
      type: block.readUInt8(at + 10),
    };
  });
}

/** A folder's content: entries sorted by the bytes of their names, as many in a block as fit. */
export function encodeDirents(entries: readonly Dirent[]): Buffer {
  const blocks: Buffer[] = [];
  for (let first = 0; first < entries.length;) {
    let end = first;
    let used = 0;
    for (; end < entries.length; end += 1) {
      const more = DIRENT_BYTES + (entries[end]?.name.length ?? 0);
      if (used + more > BLOCK_BYTES) break;
      used += more;
    }
    const block = Buffer.alloc(end < entries.length ? BLOCK_BYTES : used);
    let nameAt = (end - first) * DIRENT_BYTES;
    for (const [index, { name, nid, type }] of entries.slice(first, end).entries()) {
      block.writeBigUInt64LE(BigInt(nid), index * DIRENT_BYTES);
      block.writeUInt16LE(nameAt, index * DIRENT_BYTES + 8);
      block.writeUInt8(type, index * DIRENT_BYTES + 10);
      nameAt += block.write(name, nameAt, "latin1");
    }
    blocks.push(block);
    first = end;
  }
  return Buffer.concat(blocks);
}

function unreadable(what: string): RootFault {
  return new RootFault("unusable", `the image's file has ${what}`);
}
