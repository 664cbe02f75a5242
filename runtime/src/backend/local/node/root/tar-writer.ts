import { TAR_BLOCK_BYTES, type TarEntry } from "./tar-header.ts";

const TYPE_FLAGS: Readonly<Record<TarEntry["type"], string>> = {
  file: "0",
  link: "1",
  symlink: "2",
  char: "3",
  block: "4",
  folder: "5",
  fifo: "6",
};
const MAX_OCTAL_ID = 0o7777777;
const MAX_OCTAL_SIZE = 0o77777777777;

/** The header blocks of a member, with a PAX header before them for what the old form cannot say. */
export function encodeHeader(entry: TarEntry): Buffer {
  const records = paxRecords(entry);
  if (records.length === 0) return fixedHeader(entry, TYPE_FLAGS[entry.type]);
  const body = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  const pax = fixedHeader({ ...entry, name: "./PaxHeaders.0", linkName: "", bytes: body.length }, "x");
  const padding = Buffer.alloc(-body.length & (TAR_BLOCK_BYTES - 1));
  return Buffer.concat([pax, body, padding, fixedHeader(entry, TYPE_FLAGS[entry.type])]);
}

/** What ends an archive. */
export const TAR_END = Buffer.alloc(2 * TAR_BLOCK_BYTES);

function paxRecords(entry: TarEntry): (readonly [string, string])[] {
  const { name, linkName, uid, gid, bytes, seconds } = entry;
  const isPlain = (text: string): boolean => text.length <= 100 && /^[\x20-\x7e]*$/.test(text);
  const isOctalTime = seconds >= 0n && seconds <= BigInt(MAX_OCTAL_SIZE);
  return [
    ...(isPlain(name) ? [] : [["path", name] as const]),
    ...(isPlain(linkName) ? [] : [["linkpath", linkName] as const]),
    ...(uid <= MAX_OCTAL_ID ? [] : [["uid", String(uid)] as const]),
    ...(gid <= MAX_OCTAL_ID ? [] : [["gid", String(gid)] as const]),
    ...(bytes <= MAX_OCTAL_SIZE ? [] : [["size", String(bytes)] as const]),
    ...(isOctalTime ? [] : [["mtime", String(seconds)] as const]),
    ...entry.xattrs.map(([key, value]) => [`SCHILY.xattr.${key}`, value] as const),
  ];
}

/** The length in front counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`, "latin1");
}

function fixedHeader(entry: TarEntry, typeFlag: string): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  block.write(entry.name.slice(0, 100), 0, "latin1");
  octal(block, 100, 8, entry.mode);
  octal(block, 108, 8, entry.uid <= MAX_OCTAL_ID ? entry.uid : 0);
  octal(block, 116, 8, entry.gid <= MAX_OCTAL_ID ? entry.gid : 0);
  octal(block, 124, 12, entry.bytes <= MAX_OCTAL_SIZE ? entry.bytes : 0);
  octal(block, 136, 12, entry.seconds >= 0n && entry.seconds <= BigInt(MAX_OCTAL_SIZE) ? Number(entry.seconds) : 0);
  block.write(typeFlag, 156, "latin1");
  block.write(entry.linkName.slice(0, 100), 157, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  octal(block, 329, 8, entry.major);
  octal(block, 337, 8, entry.minor);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function octal(block: Buffer, at: number, length: number, value: number): void {
  block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
}
