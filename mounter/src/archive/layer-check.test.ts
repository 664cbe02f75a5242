import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { archiveOf, arbitraryLayer, bytesOf, entry, ROOT, type SampleEntry } from "../../test/sample-layer.ts";
import { ArchiveFault } from "./archive-fault.ts";
import { createLayerCheck } from "./layer-check.ts";
import { layerLimits } from "./layer-limits.ts";
import { BLOCK_BYTES, END_BYTES, encodeBlock, paddingOf } from "./tar-block.ts";

const LIMITS = layerLimits(1024 * 1024);

function check(bytes: Uint8Array, limits = LIMITS, pieceBytes = bytes.length): unknown {
  const layer = createLayerCheck(limits);
  for (let at = 0; at < bytes.length; at += pieceBytes) layer.push(bytes.subarray(at, at + pieceBytes));
  return layer.end();
}

function faultOf(bytes: Uint8Array, limits = LIMITS): string {
  try {
    check(bytes, limits);
  } catch (error) {
    if (error instanceof ArchiveFault) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "taken";
}

const ofEntries = (...entries: readonly SampleEntry[]): string => faultOf(archiveOf([ROOT, ...entries]));
const list = (...numbers: readonly number[]): string => btoa(String.fromCharCode(...numbers)).replace(/=+$/, "");
const acl = (value: string): SampleEntry =>
  entry("file", "./f", { xattrs: new Map([["system.posix_acl_access", value]]) });
const USUAL = [1, 0, 6, 0, 0, 0, 0, 0, 4, 0, 4, 0, 0, 0, 0, 0, 32, 0, 4, 0, 0, 0, 0, 0];

describe("createLayerCheck", () => {
  test("takes each layer that gVisor could have written, in pieces of any size", () => {
    fc.assert(
      fc.property(arbitraryLayer, fc.integer({ min: 1, max: 3000 }), (layer, pieceBytes) => {
        const bytes = archiveOf(layer);
        expect(check(bytes, LIMITS, pieceBytes)).toMatchObject({ tarBytes: bytes.length, entries: layer.length });
      }),
    );
  });

  test("takes entries in any order in which folders and what is linked to come first", () => {
    const mixed = [
      ROOT,
      entry("folder", "./z/"),
      entry("file", "./z/f"),
      entry("folder", "./a/"),
      entry("hardLink", "./a/l", { target: "./z/f" }),
      entry("file", "./b"),
    ];
    expect(check(archiveOf(mixed))).toMatchObject({ entries: 6 });
  });

  test("refuses a layer that is cut anywhere", () => {
    fc.assert(
      fc.property(arbitraryLayer, fc.nat(), (layer, at) => {
        const bytes = archiveOf(layer);
        // Without the last zeroes of the last block that ends it, too.
        expect(faultOf(bytes.subarray(0, at % bytes.length))).toMatch(
          /^damaged: the archive (is empty|is cut|has only)/,
        );
      }),
    );
  });

  test("ends with facts or an ArchiveFault for whatever bytes are changed, inserted or left out", () => {
    const change = fc.record({ at: fc.nat(), gone: fc.nat(600), bytes: fc.uint8Array({ maxLength: 600 }) });
    fc.assert(
      fc.property(arbitraryLayer, fc.array(change, { minLength: 1, maxLength: 3 }), (layer, changes) => {
        let bytes = archiveOf(layer);
        for (const { at, gone, bytes: put } of changes) {
          const from = at % bytes.length;
          bytes = new Uint8Array(Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + gone)]));
        }
        expect(faultOf(bytes)).toMatch(/^(taken$|damaged: |invalid: |too-large: )/);
      }),
      { numRuns: 500 },
    );
  });

  test("refuses each header whose bytes do not add up", () => {
    const bytes = archiveOf([ROOT, entry("file", "./a", { data: "x" })]);
    for (let at = 0; at < BLOCK_BYTES; at += 3) {
      const flipped = bytes.slice();
      flipped[BLOCK_BYTES + at] = (flipped[BLOCK_BYTES + at] ?? 0) ^ 1;
      expect(faultOf(flipped)).toContain("damaged: ");
    }
  });

  test.each([
    ["./.", 'has "." in its path'],
    ["./..", 'has ".." in its path'],
    ["./../evil", 'has ".." in its path'],
    ["/evil", 'does not begin with "./"'],
    ["evil", 'does not begin with "./"'],
    ["./a//b", 'has "" in its path'],
    ["./", "is not of its kind"],
    ["./a/", "is not of its kind"],
    [`./${"n".repeat(256)}`, "a name of 256 bytes; the most are 255"],
    [`./${"d/".repeat(4100)}f`, "a path of 8203 bytes; the most are 8192"],
    ["./a\0b".padEnd(120, "\xff"), "a zero byte in its path"],
  ])("refuses a file whose path is wrong: case %#", (path, wrong) => {
    expect(ofEntries(entry("file", path))).toContain(wrong);
  });

  const FAULTS: readonly (readonly [string, readonly SampleEntry[], string])[] = [
    [
      "a file without its folder",
      [entry("file", "./a/b")],
      'invalid: the archive\'s entry "/a/b" lies in a folder that has no entry',
    ],
    [
      "a file before its folder",
      [entry("file", "./a/b"), entry("folder", "./a/")],
      'invalid: the archive\'s entry "/a/b" comes before the folder that it lies in',
    ],
    [
      "a link before its target",
      [entry("hardLink", "./a", { target: "./b" }), entry("file", "./b")],
      'entry "/a" comes before "/b", which it is a hard link to',
    ],
    ["a file in a file", [entry("file", "./a"), entry("file", "./a/b")], "lies in a folder that has no entry"],
    [
      "a file in a symbolic link",
      [entry("symlink", "./a", { target: "/" }), entry("file", "./a/b")],
      "lies in a folder",
    ],
    ["two of one name", [entry("file", "./a"), entry("file", "./a")], 'entry "/a" is there twice'],
    ["a file and a folder of one name", [entry("file", "./a"), entry("folder", "./a/")], 'entry "/a/" is there twice'],
    [
      "a link to what is not there",
      [entry("hardLink", "./a", { target: "./b" })],
      'is a hard link to "/b", which is not there',
    ],
    [
      "a link to a folder",
      [entry("folder", "./b/"), entry("hardLink", "./a", { target: "./b/" })],
      "which nothing can be another name of",
    ],
    [
      "a link to a link",
      [entry("file", "./c"), entry("hardLink", "./b", { target: "./c" }), entry("hardLink", "./a", { target: "./b" })],
      "which nothing can be",
    ],
    ["a link to itself", [entry("hardLink", "./a", { target: "./a" })], "which nothing can be"],
    ["a link without a target", [entry("symlink", "./a")], "is a link without a target"],
    ["a mode with a kind in it", [entry("file", "./a", { mode: 0o120777 })], "has the mode 0120777; the most is 07777"],
    ["an owner that is none", [entry("file", "./a", { uid: 2 ** 32 - 1 })], "has an owner beyond 32 bits"],
    [
      "a time beyond 64 bits of nanoseconds",
      [entry("file", "./a", { mtimeSeconds: 9_223_372_038 })],
      "has a time that cannot be kept",
    ],
    ["a device that is none", [entry("block", "./a", { device: { major: 4096, minor: 0 } })], "has a device number"],
    [
      "an opaque file",
      [entry("file", "./a", { xattrs: new Map([["trusted.overlay.opaque", "y"]]) })],
      "only a folder below the root",
    ],
    [
      "an opaque mark of another form",
      [entry("folder", "./a/", { xattrs: new Map([["trusted.overlay.opaque", "x"]]) })],
      'by "x" instead of "y"',
    ],
    ["an access list that is no base64", [acl("=====")], "an access list is not base64"],
    ["an access list of another version", [acl(list(3, 0, 0, 0, ...USUAL))], "is not of version 2"],
    ["an access list that is cut", [acl(list(2, 0, 0, 0, 1, 0))], "is cut"],
    ["an access list without others", [acl(list(2, 0, 0, 0, ...USUAL.slice(0, 16)))], "lacks an entry"],
    [
      "an access list with a user and no mask",
      [acl(list(2, 0, 0, 0, ...USUAL, 2, 0, 6, 0, 1, 0, 0, 0))],
      "lacks an entry",
    ],
  ];
  test.each(FAULTS)("refuses %s", (_, entries, wrong) => {
    expect(ofEntries(...entries)).toContain(wrong);
  });

  test("takes an access list with all that it needs", () => {
    expect(ofEntries(acl(list(2, 0, 0, 0, ...USUAL)))).toBe("taken");
  });

  const NONE = { mode: 0, uid: 0, gid: 0, sizeBytes: 0, mtimeSeconds: 0, linkName: "", devMajor: 0, devMinor: 0 };
  const raw = (type: string, name: string, body = "", more: Partial<typeof NONE> = {}): Uint8Array => {
    const block = encodeBlock({ ...NONE, type, name, sizeBytes: body.length, ...more });
    return new Uint8Array(Buffer.concat([block, bytesOf(body), new Uint8Array(paddingOf(body.length))]));
  };
  const after = (...blocks: readonly Uint8Array[]): string =>
    faultOf(new Uint8Array(Buffer.concat([archiveOf([ROOT], 0), ...blocks, new Uint8Array(END_BYTES)])));

  test.each([
    ["7", 'is of the type "7", which layers do not have'],
    ["g", 'is of the type "g"'],
    ["L", 'is of the type "L"'],
    ["S", 'is of the type "S"'],
    ["\0", String.raw`is of the type "\x00"`],
  ])("refuses an entry of type %j", (type, wrong) => {
    expect(after(raw(type, "./a"))).toContain(wrong);
  });

  test.each([
    ["20 GNU.sparse.map=1\n", 'has a record "GNU.sparse.map"'],
    ["8 path=\n", 'for "path" is empty'],
    ["10 path=.\n10 path=.\n", 'is the second for "path"'],
    ["11 path=.\n", "has no right length"],
    ["0 path=.\n", "has no right length"],
    ["99 path=.\n", "has no right length"],
    ["10 size=-1\n", "is not of the form key=value"],
    ["11 size=-1\n", 'has a record "size" that is no whole number'],
    ["12 mtime=.5\n", 'has a record "mtime" that is no whole number'],
    ["6 abc\n", "is not of the form key=value"],
  ])("refuses the extended header %j", (records, wrong) => {
    expect(after(raw("x", "h", records), raw("0", "./a"))).toContain(wrong);
  });

  test("refuses two extended headers for one entry, and one for none", () => {
    const records = raw("x", "h", "12 path=./a\n");
    expect(after(records, records, raw("0", "./a"))).toContain("two extended headers");
    expect(after(records)).toContain("an extended header without an entry");
  });

  test("refuses an extended header that is larger than gVisor's reader takes before it comes", () => {
    const layer = createLayerCheck(LIMITS);
    const head = encodeBlock({ ...NONE, type: "x", name: "h", sizeBytes: 1024 * 1024 + 1 });
    expect(() => layer.push(head)).toThrow("has an extended header of 1.0 MiB");
  });

  test("refuses data of what is no file", () => {
    expect(after(raw("5", "./a/", "data"))).toContain('entry "/a/" has data, yet is no file');
  });

  test("refuses what goes on after its end, but for zeroes", () => {
    const bytes = archiveOf([ROOT]);
    expect(faultOf(new Uint8Array([...bytes, ...new Uint8Array(9000)]))).toBe("taken");
    expect(faultOf(new Uint8Array([...bytes, 0, 1]))).toContain("goes on after its end");
  });

  test("refuses a layer without a root, and an empty one", () => {
    expect(faultOf(archiveOf([entry("file", "./a")]))).toContain('no entry "./" for the root');
    expect(faultOf(new Uint8Array(0))).toContain("the archive is empty");
    expect(faultOf(archiveOf([]))).toContain('no entry "./" for the root');
  });

  test("refuses a file above the limit when its header has come, naming it", () => {
    const layer = createLayerCheck(LIMITS);
    const head = encodeBlock({ ...NONE, type: "0", name: "./big\n", sizeBytes: 8 * 2 ** 30 - 1 });
    layer.push(archiveOf([ROOT], 0));
    expect(() => layer.push(head)).toThrow(String.raw`says that its entry "/big\x0a" has 8.0 GiB (at byte 1024)`);
  });

  test("refuses more entries, names or bytes than allowed", () => {
    const bytes = archiveOf([ROOT, entry("file", "./a"), entry("file", "./b")]);
    expect(faultOf(bytes, { ...LIMITS, entries: 2 })).toBe("too-large: the archive has more than 2 entries");
    expect(faultOf(bytes, { ...LIMITS, nameBytes: 5 })).toContain("names of more than 5 bytes");
    expect(faultOf(bytes, { ...LIMITS, tarBytes: 2000 })).toContain("is larger than 2.0 KiB");
  });
});
