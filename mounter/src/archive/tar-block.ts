import { ArchiveFault } from "./archive-fault.ts";
import { byteString, putByteString } from "./byte-string.ts";

export const BLOCK_BYTES = 512;
/** Two blocks of zeroes end an archive. */
export const END_BYTES = 2 * BLOCK_BYTES;
/** Most of what a numeric field of eight or twelve bytes holds. */
export const MOST_OCTAL_8 = 0o7777777;
export const MOST_OCTAL_12 = 0o77777777777;
export const FIELD_NAME_BYTES = 100;

const ZERO = 0x30;

/** The fields of a header block, as they stand there. */
export interface TarBlock {
  readonly type: string;
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly linkName: string;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** Bytes from a size to the next block. */
export function paddingOf(sizeBytes: number): number {
  return (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
}

export function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}

/**
 * Reads a header block in the one form that gVisor writes (POSIX.1-1988 with octal numbers). All
 * others are refused: two readers might take them for different things.
 */
export function decodeBlock(block: Uint8Array): TarBlock {
  if (byteString(block.subarray(257, 265)) !== "ustar\x0000") throw fault("is not of the form of POSIX.1-2001");
  if (octal(block, 148, 8, "checksum") !== checksum(block)) throw fault("does not have the checksum it states");
  if (!isZero(block.subarray(500))) throw fault("has fields of another form");
  const prefix = text(block, 345, 155);
  const name = text(block, 0, FIELD_NAME_BYTES);
  return {
    type: byteString(block.subarray(156, 157)),
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: octal(block, 100, 8, "mode"),
    uid: octal(block, 108, 8, "owner"),
    gid: octal(block, 116, 8, "group"),
    sizeBytes: octal(block, 124, 12, "size"),
    mtimeSeconds: octal(block, 136, 12, "time"),
    linkName: text(block, 157, FIELD_NAME_BYTES),
    devMajor: octal(block, 329, 8, "device"),
    devMinor: octal(block, 337, 8, "device"),
  };
}

/** Writes a header block. Numbers must fit and names be ASCII: what does not is said in records. */
export function encodeBlock(fields: TarBlock): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  putByteString(fields.name, block, 0);
  putOctal(fields.mode, block, 100, 8);
  putOctal(fields.uid, block, 108, 8);
  putOctal(fields.gid, block, 116, 8);
  putOctal(fields.sizeBytes, block, 124, 12);
  putOctal(fields.mtimeSeconds, block, 136, 12);
  putByteString(fields.type, block, 156);
  putByteString(fields.linkName, block, 157);
  putByteString("ustar\x0000", block, 257);
  putOctal(fields.devMajor, block, 329, 8);
  putOctal(fields.devMinor, block, 337, 8);
  putByteString(`${checksum(block).toString(8).padStart(6, "0")}\0 `, block, 148);
  return block;
}

function putOctal(value: number, block: Uint8Array, offset: number, width: number): void {
  putByteString(value.toString(8).padStart(width - 1, "0"), block, offset);
}

/** An octal number between blanks or zero bytes; without digits it is 0. */
function octal(block: Uint8Array, offset: number, width: number, what: string): number {
  let at = offset;
  let end = offset + width;
  while (at < end && isBlank(block[at])) at += 1;
  while (at < end && isBlank(block[end - 1])) end -= 1;
  let value = 0;
  for (; at < end; at++) {
    const digit = (block[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 7) throw fault(`has a ${what} that is no octal number`);
    value = value * 8 + digit;
  }
  return value;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0 || byte === 0x20;
}

function text(block: Uint8Array, offset: number, width: number): string {
  const field = block.subarray(offset, offset + width);
  const end = field.indexOf(0);
  return byteString(end === -1 ? field : field.subarray(0, end));
}

/** Sum of all bytes, with blanks where the sum itself stands. */
function checksum(block: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let index = 0; index < BLOCK_BYTES; index++) if (index < 148 || index >= 156) sum += block[index] ?? 0;
  return sum;
}

function fault(what: string): ArchiveFault {
  return new ArchiveFault("damaged", `header ${what}`);
}
