import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import fc from "fast-check";
import { extract, type Header } from "tar-stream";
import { describe, expect, test } from "vitest";
import { parseLayer } from "../../test/parse-layer.ts";
import { archiveOf, arbitraryLayer, bytesOf, entry, ROOT, utf8, type SampleEntry } from "../../test/sample-layer.ts";
import { byteString } from "./byte-string.ts";
import { encodeHead, headBytes, targetRecordBytes, xattrRecordBytes } from "./entry-codec.ts";

describe("encodeHead", () => {
  test("gives what is read back as the same entries with the same data", () => {
    fc.assert(
      fc.property(arbitraryLayer, (layer) => {
        expect(parseLayer(archiveOf(layer))).toEqual(layer);
      }),
    );
  });

  test("takes as many bytes as headBytes says", () => {
    fc.assert(
      fc.property(arbitraryLayer, (layer) => {
        for (const { head } of layer) {
          const encoded = encodeHead(head).reduce((sum, part) => sum + part.length, 0);
          expect(headBytes(head, xattrRecordBytes(head.xattrs))).toBe(encoded);
          if (head.kind !== "symlink") continue;
          const further = xattrRecordBytes(head.xattrs) + targetRecordBytes(head.target);
          expect(headBytes({ ...head, target: "" }, further)).toBe(encoded);
        }
      }),
    );
  });

  test("is read by another reader as what it is", async () => {
    const long = `./${"d".repeat(90)}/`;
    const layer: SampleEntry[] = [
      ROOT,
      entry("folder", long, { mode: 0o1777 }),
      entry("file", utf8(`${long}ü`), { data: "text", uid: 2 ** 31, gid: 7 }),
      entry("symlink", "./s", { target: "t".repeat(300) }),
      entry("character", "./c", { device: { major: 300, minor: 70_000 } }),
      entry("hardLink", "./l", { target: utf8(`${long}ü`) }),
      entry("file", "./x", { xattrs: new Map([["user.a", "b"]]), data: "x".repeat(1000) }),
    ];
    const found = await readByOther(archiveOf(layer));
    expect(found.map(({ name, type, data }) => [name, type, data])).toEqual([
      ["./", "directory", ""],
      [long, "directory", ""],
      [`${long}ü`, "file", "text"],
      ["./s", "symlink", ""],
      ["./c", "character-device", ""],
      ["./l", "link", ""],
      ["./x", "file", "x".repeat(1000)],
    ]);
    expect(found[2]).toMatchObject({ gid: 7, pax: { uid: String(2 ** 31) } });
    expect(found[3]?.linkname).toBe("t".repeat(300));
    expect(found[4]).toMatchObject({ devmajor: 300, devminor: 70_000 });
    expect(found[5]?.linkname).toBe(`${long}ü`);
    expect(found[6]?.pax).toEqual({ "SCHILY.xattr.user.a": "b" });
  });
});

interface Read extends Header {
  readonly data: string;
}

async function readByOther(bytes: Uint8Array): Promise<Read[]> {
  const found: Read[] = [];
  for await (const each of Readable.from([Buffer.from(bytes)]).pipe(extract()))
    found.push({ ...each.header, data: await text(each) });
  return found;
}

test("bytesOf and byteString are each other's inverse for every byte and length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20_000 }), (bytes) => {
      expect(bytesOf(byteString(bytes))).toEqual(bytes);
    }),
    { numRuns: 30 },
  );
});
