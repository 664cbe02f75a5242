import { ArchiveFault } from "./archive-fault.ts";
import { byteString, putByteString, showBytes } from "./byte-string.ts";

/** Extended header records (`length key=value\n`) by key; keys and values are byte strings. */
export type Records = ReadonlyMap<string, string>;

const SPACE = 0x20;
const MOST_LENGTH_DIGITS = 9;

/** Reads the records of an extended header; refuses what readers might take differently. */
export function decodeRecords(bytes: Uint8Array): Records {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.subarray(at, at + MOST_LENGTH_DIGITS + 1).indexOf(SPACE);
    const digits = space === -1 ? "" : byteString(bytes.subarray(at, at + space));
    const length = /^[1-9]\d*$/.test(digits) ? Number(digits) : 0;
    if (length === 0 || at + length > bytes.length || length < space + 2) throw fault("has no right length");
    const record = byteString(bytes.subarray(at + space + 1, at + length));
    const equals = record.indexOf("=");
    if (!record.endsWith("\n") || equals < 1) throw fault("is not of the form key=value");
    const key = record.slice(0, equals);
    const value = record.slice(equals + 1, -1);
    if (records.has(key)) throw fault(`is the second for "${showBytes(key)}"`);
    // An empty value means "no such record" to some readers.
    if (value === "") throw fault(`for "${showBytes(key)}" is empty`);
    records.set(key, value);
    at += length;
  }
  return records;
}

/** Writes records in the order of their keys' bytes. */
export function encodeRecords(records: Records): Uint8Array {
  const sorted = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
  const bytes = new Uint8Array(sorted.reduce((sum, [key, value]) => sum + recordBytes(key.length, value.length), 0));
  let at = 0;
  for (const [key, value] of sorted) {
    const length = recordBytes(key.length, value.length);
    putByteString(`${length} ${key}=${value}\n`, bytes, at);
    at += length;
  }
  return bytes;
}

/** Bytes of a record, which count the digits of their own number. */
export function recordBytes(keyBytes: number, valueBytes: number): number {
  const rest = keyBytes + valueBytes + 3;
  const length = rest + String(rest).length;
  return rest + String(length).length;
}

function fault(what: string): ArchiveFault {
  return new ArchiveFault("damaged", `extended header's record ${what}`);
}
