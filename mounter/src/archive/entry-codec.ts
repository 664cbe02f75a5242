import { ArchiveFault } from "./archive-fault.ts";
import { isAscii, showBytes } from "./byte-string.ts";
import { NO_DEVICE, NO_XATTRS, type EntryHead, type EntryKind } from "./entry-head.ts";
import { encodeRecords, recordBytes, type Records } from "./records.ts";
import {
  BLOCK_BYTES,
  FIELD_NAME_BYTES,
  MOST_OCTAL_12,
  MOST_OCTAL_8,
  encodeBlock,
  paddingOf,
  type TarBlock,
} from "./tar-block.ts";

/** Type of the header block before records that go with the next entry. */
export const RECORDS_TYPE = "x";
const XATTR_PREFIX = "SCHILY.xattr.";
const KINDS: ReadonlyMap<string, EntryKind> = new Map([
  ["0", "file"],
  ["1", "hardLink"],
  ["2", "symlink"],
  ["3", "character"],
  ["4", "block"],
  ["5", "folder"],
  ["6", "fifo"],
]);
const TYPES = new Map([...KINDS].map(([type, kind]) => [kind, type]));

/** An entry without its attributes. */
export type HeadFacts = Omit<EntryHead, "xattrs">;

/** An entry of its header block and the records before it. */
export function decodeHead(block: TarBlock, records: Records): EntryHead {
  const kind = KINDS.get(block.type);
  if (kind === undefined) throw fault(block, `is of the type "${showBytes(block.type)}", which layers do not have`);
  const xattrs = new Map<string, string>();
  for (const [key, value] of records) {
    if (key.startsWith(XATTR_PREFIX) && key.length > XATTR_PREFIX.length)
      xattrs.set(key.slice(XATTR_PREFIX.length), value);
    else if (!NUMBERS.has(key) && key !== "path" && key !== "linkpath")
      throw fault(block, `has a record "${showBytes(key)}", which layers do not have`);
  }
  const isDevice = kind === "character" || kind === "block";
  return {
    kind,
    path: records.get("path") ?? block.name,
    mode: block.mode,
    uid: numberOf(block, records, "uid") ?? block.uid,
    gid: numberOf(block, records, "gid") ?? block.gid,
    mtimeSeconds: numberOf(block, records, "mtime") ?? block.mtimeSeconds,
    sizeBytes: numberOf(block, records, "size") ?? block.sizeBytes,
    target: records.get("linkpath") ?? block.linkName,
    device: isDevice ? { major: block.devMajor, minor: block.devMinor } : NO_DEVICE,
    xattrs: xattrs.size === 0 ? NO_XATTRS : xattrs,
  };
}

/** Header of an entry in the one form that equal entries have. */
export function encodeHead(head: EntryHead): readonly Uint8Array[] {
  const records = recordsOf(head);
  for (const [name, value] of head.xattrs) records.set(XATTR_PREFIX + name, value);
  const block = encodeBlock({
    type: TYPES.get(head.kind) ?? "",
    name: fieldName(head.path),
    mode: head.mode,
    uid: records.has("uid") ? 0 : head.uid,
    gid: records.has("gid") ? 0 : head.gid,
    sizeBytes: records.has("size") ? 0 : head.sizeBytes,
    mtimeSeconds: records.has("mtime") ? 0 : head.mtimeSeconds,
    linkName: fieldName(head.target),
    devMajor: head.device.major,
    devMinor: head.device.minor,
  });
  if (records.size === 0) return [block];
  const bytes = encodeRecords(records);
  return [recordsBlock(head.path, bytes.length), bytes, new Uint8Array(paddingOf(bytes.length)), block];
}

/** Bytes that `encodeHead` gives, when what is not among these facts takes so many in records. */
export function headBytes(head: HeadFacts, furtherRecordBytes: number): number {
  let bytes = furtherRecordBytes;
  for (const [key, value] of recordsOf(head)) bytes += recordBytes(key.length, value.length);
  return bytes === 0 ? BLOCK_BYTES : 2 * BLOCK_BYTES + bytes + paddingOf(bytes);
}

export function xattrRecordBytes(xattrs: EntryHead["xattrs"]): number {
  let bytes = 0;
  for (const [name, value] of xattrs) bytes += recordBytes(XATTR_PREFIX.length + name.length, value.length);
  return bytes;
}

/** Bytes of the record that a link's target needs, if it needs one. */
export function targetRecordBytes(target: string): number {
  return fitsName(target) ? 0 : recordBytes("linkpath".length, target.length);
}

const NUMBERS: ReadonlyMap<string, RegExp> = new Map([
  ["uid", /^\d{1,10}$/],
  ["gid", /^\d{1,10}$/],
  ["mtime", /^-?\d{1,12}$/],
  ["size", /^\d{1,15}$/],
]);

function numberOf(block: TarBlock, records: Records, key: string): number | undefined {
  const value = records.get(key);
  if (value === undefined) return undefined;
  if (!NUMBERS.get(key)?.test(value)) throw fault(block, `has a record "${key}" that is no whole number`);
  return Number(value);
}

/** What does not fit into the header block, apart from attributes. */
function recordsOf({ path, target, uid, gid, mtimeSeconds, sizeBytes }: HeadFacts): Map<string, string> {
  const records = new Map<string, string>();
  if (!fitsName(path)) records.set("path", path);
  if (!fitsName(target)) records.set("linkpath", target);
  if (uid > MOST_OCTAL_8) records.set("uid", String(uid));
  if (gid > MOST_OCTAL_8) records.set("gid", String(gid));
  if (mtimeSeconds < 0 || mtimeSeconds > MOST_OCTAL_12) records.set("mtime", String(mtimeSeconds));
  if (sizeBytes > MOST_OCTAL_12) records.set("size", String(sizeBytes));
  return records;
}

function recordsBlock(path: string, sizeBytes: number): Uint8Array {
  const name = fieldName(`PaxHeaders.0/${path.replace(/^\.\/|\/$/g, "")}`);
  const none = { mode: 0, uid: 0, gid: 0, mtimeSeconds: 0, linkName: "", devMajor: 0, devMinor: 0 };
  return encodeBlock({ ...none, type: RECORDS_TYPE, name, sizeBytes });
}

function fitsName(name: string): boolean {
  return name.length <= FIELD_NAME_BYTES && isAscii(name);
}

/** A name for readers that know no records; a folder's keeps no slash in the middle of a cut. */
function fieldName(name: string): string {
  return fitsName(name) ? name : name.replace(/[\x80-\xff]/g, "_").slice(0, FIELD_NAME_BYTES);
}

function fault(block: TarBlock, what: string): ArchiveFault {
  return new ArchiveFault("invalid", `entry "${showBytes(block.name)}" ${what}`);
}
