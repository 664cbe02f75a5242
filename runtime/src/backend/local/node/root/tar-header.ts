import { RootFault } from "./root-fault.ts";

export const TAR_BLOCK_BYTES = 512;

/** A member of a tar archive; names are bytes in latin1, as they stand there. */
export interface TarEntry {
  readonly type: "file" | "link" | "symlink" | "char" | "block" | "folder" | "fifo";
  readonly name: string;
  readonly linkName: string;
  /** Length of a file's content, which follows. */
  readonly bytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly seconds: bigint;
  readonly nanoseconds: number;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: readonly (readonly [name: string, value: string])[];
}

/** The fixed part of a header. */
export interface RawHeader {
  readonly typeFlag: string;
  readonly bytes: number;
  readonly block: Buffer;
}

const TYPES: Readonly<Record<string, TarEntry["type"]>> = {
  "0": "file",
  "\0": "file",
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "folder",
  "6": "fifo",
};
const XATTR_PREFIX = "SCHILY.xattr.";
const MAX_ID = 4_294_967_294;
const MAX_SECONDS = 2n ** 63n - 1n;

/** Reads the fixed part of a header and checks its sum. */
export function parseRawHeader(block: Buffer): RawHeader {
  let sum = 8 * 0x20;
  for (let at = 0; at < TAR_BLOCK_BYTES; at += 1) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  if (numberAt(block, 148, 8) !== sum) throw malformed("a header whose sum is wrong");
  return { typeFlag: block.toString("latin1", 156, 157), bytes: sizeOf(numberAt(block, 124, 12)), block };
}

/** The records of a PAX header: `length key=value\n`, one after the other. */
export function parsePax(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(bytes.toString("latin1", at, space));
    const end = at + length;
    const equals = bytes.indexOf(0x3d, space);
    const isWhole = length > 0 && end <= bytes.length && equals > space && equals < end && bytes[end - 1] === 0x0a;
    if (!isWhole) throw malformed("a broken PAX header");
    records.set(bytes.toString("latin1", space + 1, equals), bytes.toString("latin1", equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** The member that a header and the records before it describe. */
export function parseEntry({ typeFlag, block, bytes }: RawHeader, records: ReadonlyMap<string, string>): TarEntry {
  const type = TYPES[typeFlag];
  if (type === undefined) throw malformed(`a member of type ${JSON.stringify(typeFlag)}`);
  for (const key of records.keys())
    if (key.startsWith("GNU.sparse.")) throw malformed("a sparse file of GNU's form, which nothing here writes");
  const xattrs = [...records].flatMap(([key, value]) =>
    key.startsWith(XATTR_PREFIX) ? [[key.slice(XATTR_PREFIX.length), value] as const] : [],
  );
  const size = records.get("size");
  return {
    type,
    name: records.get("path") ?? nameIn(block),
    linkName: records.get("linkpath") ?? textAt(block, 157, 100),
    bytes: type === "file" ? (size === undefined ? bytes : sizeOf(decimal(size))) : 0,
    mode: numberAt(block, 100, 8) & 0o7777,
    uid: idOf(records.get("uid"), block, 108),
    gid: idOf(records.get("gid"), block, 116),
    ...timeOf(records.get("mtime"), block),
    major: numberAt(block, 329, 8),
    minor: numberAt(block, 337, 8),
    xattrs,
  };
}

function nameIn(block: Buffer): string {
  const name = textAt(block, 0, 100);
  const isUstar = block.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? textAt(block, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function timeOf(record: string | undefined, block: Buffer): { seconds: bigint; nanoseconds: number } {
  if (record === undefined) return { seconds: bounded(BigInt(numberAt(block, 136, 12))), nanoseconds: 0 };
  const [, sign, whole = "", fraction = ""] = /^(-?)(\d{1,30})(?:\.(\d+))?$/.exec(record) ?? [];
  if (whole === "") throw malformed("a time that is none");
  const seconds = BigInt(whole);
  const nanoseconds = Number(fraction.padEnd(9, "0").slice(0, 9));
  if (sign !== "-") return { seconds: bounded(seconds), nanoseconds };
  return nanoseconds === 0
    ? { seconds: bounded(-seconds), nanoseconds }
    : { seconds: bounded(-seconds - 1n), nanoseconds: 1_000_000_000 - nanoseconds };
}

function bounded(seconds: bigint): bigint {
  if (seconds > MAX_SECONDS) return MAX_SECONDS;
  return seconds < -MAX_SECONDS ? -MAX_SECONDS : seconds;
}

function idOf(record: string | undefined, block: Buffer, at: number): number {
  const id = record === undefined ? numberAt(block, at, 8) : decimal(record);
  if (id < 0 || id > MAX_ID) throw malformed("an owner that is none");
  return id;
}

function sizeOf(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw malformed("a size that is none");
  return value;
}

function decimal(text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw malformed("a number that is none");
  return Number(text);
}

/** Octal digits, or binary when the first bit is set. */
function numberAt(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = (first & 0x40) === 0 ? BigInt(first & 0x7f) : BigInt(first & 0x7f) - 128n;
    for (let index = 1; index < length; index += 1) value = value * 256n + BigInt(block[at + index] ?? 0);
    return Number(value);
  }
  const text = textAt(block, at, length).trim();
  if (text === "") return 0;
  if (!/^[0-7]+$/.test(text)) throw malformed("a number that is none");
  return Number.parseInt(text, 8);
}

function textAt(block: Buffer, at: number, length: number): string {
  const text = block.toString("latin1", at, at + length);
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

export function malformed(what: string): RootFault {
  return new RootFault("unusable", `a layer of it has ${what}`);
}
