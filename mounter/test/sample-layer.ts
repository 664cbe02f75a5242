import fc from "fast-check";
import { byteString, putByteString } from "#mounter/archive/byte-string.ts";
import { encodeHead } from "#mounter/archive/entry-codec.ts";
import {
  NO_DEVICE,
  NO_XATTRS,
  OPAQUE_XATTR,
  ROOT_PATH,
  pathKey,
  type EntryHead,
  type EntryKind,
} from "#mounter/archive/entry-head.ts";
import { END_BYTES, paddingOf } from "#mounter/archive/tar-block.ts";

/** An entry of a layer together with its data. */
export interface SampleEntry {
  readonly head: EntryHead;
  readonly data: Uint8Array;
}

/** A byte string of a text. */
export function utf8(text: string): string {
  return byteString(new TextEncoder().encode(text));
}

export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  putByteString(text, bytes, 0);
  return bytes;
}

/** An entry with usual values for what is not said. */
export function entry(kind: EntryKind, path: string, rest: Partial<EntryHead> & { data?: string } = {}): SampleEntry {
  const { data = "", ...head } = rest;
  const usual = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 1, target: "", device: NO_DEVICE, xattrs: NO_XATTRS };
  return { head: { ...usual, kind, path, sizeBytes: data.length, ...head }, data: bytesOf(data) };
}

export const ROOT = entry("folder", ROOT_PATH, { mode: 0o755 });

/** The archive of entries as they come. */
export function archiveOf(entries: readonly SampleEntry[], endBytes = END_BYTES): Uint8Array {
  const parts = entries.flatMap(({ head, data }) => [
    ...encodeHead(head),
    data,
    new Uint8Array(paddingOf(data.length)),
  ]);
  return new Uint8Array(Buffer.concat([...parts, new Uint8Array(endBytes)]));
}

const NAMES = ["a", "b", "a.b", "a-", "B", utf8("ü"), "\xff\xfe", " ", "new\nline", "n".repeat(120), "=", ".wh.a"];
const KINDS: readonly EntryKind[] = ["file", "symlink", "character", "block", "folder", "fifo", "hardLink"];
const XATTRS: readonly (readonly [string, string])[] = [
  ["user.a", "1"],
  ["user.long", "z".repeat(600)],
  ["user.nul", "a\0b=c\n"],
];

const draft = fc.record({
  names: fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 }),
  kind: fc.constantFrom(...KINDS),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.constantFrom(0, 1000, 0o7777777, 0o10000000, 2 ** 32 - 6),
  mtimeSeconds: fc.constantFrom(0, 1_700_000_000, -5, 0o77777777777, 0o100000000000, 9_223_372_036),
  data: fc.constantFrom("", "x", "data", "block".repeat(200)),
  target: fc.constantFrom("t", "/".repeat(150), "\xff\x80", utf8("ä")),
  device: fc.constantFrom({ major: 0, minor: 0 }, { major: 1, minor: 3 }, { major: 300, minor: 70_000 }),
  isOpaque: fc.boolean(),
  xattrs: fc.subarray([...XATTRS]),
  linkTo: fc.nat(),
});
type Draft = typeof draft extends fc.Arbitrary<infer Each> ? Each : never;

/** Layers as gVisor could have written them, in an order of its own: folders first, links last. */
export const arbitraryLayer: fc.Arbitrary<readonly SampleEntry[]> = fc
  .array(draft, { maxLength: 14 })
  .map((drafts) => layerOf(drafts));

function layerOf(drafts: readonly Draft[]): SampleEntry[] {
  const made = new Map<string, SampleEntry>([[pathKey(ROOT_PATH), ROOT]]);
  const linkable: SampleEntry[] = [];
  const links: Draft[] = [];
  for (const each of drafts) {
    if (each.kind === "hardLink") links.push(each);
    else add(made, linkable, each);
  }
  for (const each of links) {
    const body = linkable[each.linkTo % Math.max(1, linkable.length)];
    if (body !== undefined) addLink(made, each, body);
  }
  return [...made.values()];
}

function add(made: Map<string, SampleEntry>, linkable: SampleEntry[], each: Draft): void {
  const { kind, mode, uid, mtimeSeconds, names, isOpaque } = each;
  const key = `./${names.join("/")}`;
  if (made.has(key) || !addParents(made, names)) return;
  const xattrs = new Map<string, string>(each.xattrs);
  if (kind === "folder" && isOpaque) xattrs.set(OPAQUE_XATTR, "y");
  const sample = entry(kind, kind === "folder" ? `${key}/` : key, {
    mode,
    uid,
    gid: uid,
    mtimeSeconds,
    xattrs,
    ...(kind === "file" ? { data: each.data } : {}),
    ...(kind === "symlink" ? { target: each.target } : {}),
    ...(kind === "character" || kind === "block" ? { device: each.device } : {}),
  });
  made.set(key, sample);
  const isDevice = kind === "character" || kind === "block";
  if (kind !== "folder" && !isDevice) linkable.push(sample);
}

function addLink(made: Map<string, SampleEntry>, each: Draft, body: SampleEntry): void {
  const key = `./${each.names.join("/")}`;
  if (made.has(key) || !addParents(made, each.names)) return;
  const { mode, uid, gid, mtimeSeconds, path } = body.head;
  made.set(key, entry("hardLink", key, { mode, uid, gid, mtimeSeconds, target: path }));
}

/** False where one of them is there as something else. */
function addParents(made: Map<string, SampleEntry>, names: readonly string[]): boolean {
  let key = ".";
  for (const name of names.slice(0, -1)) {
    key = `${key}/${name}`;
    const there = made.get(key);
    if (there === undefined) made.set(key, entry("folder", `${key}/`, { mode: 0o755 }));
    else if (there.head.kind !== "folder") return false;
  }
  return true;
}
