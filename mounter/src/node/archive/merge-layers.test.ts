import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { byteString } from "../../archive/byte-string.ts";
import { ROOT_PATH } from "../../archive/entry-head.ts";
import { createLayerCheck } from "../../archive/layer-check.ts";
import { layerLimits } from "../../archive/layer-limits.ts";
import { applyLayer, describeTree, type ModelTree } from "../../../test/model-tree.ts";
import { collect, parseLayer } from "../../../test/parse-layer.ts";
import { archiveOf, arbitraryLayer, entry, ROOT, type SampleEntry } from "../../../test/sample-layer.ts";
import { mergeLayers } from "./merge-layers.ts";

const LIMITS = layerLimits(64 * 1024 * 1024);
const EMPTY: ModelTree = new Map();
const signal = new AbortController().signal;
const DELETED = { device: { major: 0, minor: 0 } };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-merge-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function merged(layers: readonly (readonly SampleEntry[])[]): Promise<Uint8Array> {
  const paths = layers.map((_, index) => join(folder, `${index}.tar`));
  for (const [index, path] of paths.entries()) await writeFile(path, archiveOf(layers[index] ?? []));
  await using layer = await mergeLayers(paths, LIMITS, signal);
  const bytes = await collect(layer.chunks(signal));
  expect(bytes.length).toBe(layer.facts.tarBytes);
  return bytes;
}

describe("mergeLayers", () => {
  test("gives a layer that does to any image what the layers do one after the other", async () => {
    const layers = fc.array(arbitraryLayer, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(arbitraryLayer, layers, async (image, layers) => {
        const base = applyLayer(EMPTY, image);
        const expected = layers.reduce(applyLayer, base);
        const found = applyLayer(base, parseLayer(await merged(layers)));
        expect(describeTree(found)).toEqual(describeTree(expected));
      }),
      { numRuns: 200 },
    );
  });

  test("gives a layer that is sorted, passes the check, and stays as it is when it is put in order again", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryLayer, arbitraryLayer, async (lower, upper) => {
        const bytes = await merged([lower, upper]);
        const check = createLayerCheck(LIMITS);
        check.push(bytes);
        const entries = parseLayer(bytes);
        expect(check.end()).toMatchObject({ tarBytes: bytes.length, entries: entries.length });
        const paths = entries.map(({ head }) => head.path);
        expect(paths).toEqual(paths.toSorted((a, b) => (a < b ? -1 : 1)));
        expect(paths[0]).toBe(ROOT_PATH);
        expect(byteString(await merged([entries]))).toBe(byteString(bytes));
      }),
      { numRuns: 50 },
    );
  });

  test("gives equal bytes for equal trees, whatever the order and the names of links", async () => {
    const a = entry("file", "./a", { data: "same" });
    const b = entry("file", "./b", { data: "same" });
    const [c, d] = [entry("folder", "./c/"), entry("file", "./c/d")];
    const one = await merged([[ROOT, a, entry("hardLink", "./b", { target: "./a" }), c, d]]);
    const other = await merged([[ROOT, c, b, d, entry("hardLink", "./a", { target: "./b" })]]);
    expect(other).toEqual(one);
  });

  test("keeps the data of a hard link whose first name an upper layer deletes or replaces", async () => {
    const links = [ROOT, entry("file", "./a", { data: "kept" }), entry("hardLink", "./b", { target: "./a" })];
    for (const upper of [entry("character", "./a", DELETED), entry("file", "./a", { data: "new" })]) {
      const [, first, second] = parseLayer(await merged([links, [ROOT, upper]]));
      expect(first).toEqual(upper);
      expect(second).toMatchObject({ head: { path: "./b", kind: "file" }, data: new Uint8Array(Buffer.from("kept")) });
    }
  });

  test("follows a link of an upper layer into a lower one, and refuses one that leads nowhere", async () => {
    const lower = [ROOT, entry("file", "./z", { data: "low" })];
    const [, link, target] = parseLayer(await merged([lower, [ROOT, entry("hardLink", "./a", { target: "./z" })]]));
    expect(link).toMatchObject({ head: { path: "./a", kind: "file", sizeBytes: 3 } });
    expect(target?.head).toMatchObject({ path: "./z", kind: "hardLink", target: "./a" });
    const lost = merged([lower, [ROOT, entry("hardLink", "./a", { target: "./gone" })]]);
    await expect(lost).rejects.toThrow('entry "/a" is a hard link to "/gone", which no layer has');
  });

  test("hides the image's folder where a lower layer had something else in its place", async () => {
    const folder = entry("folder", "./d/", { mode: 0o700 });
    for (const lower of [
      entry("character", "./d", DELETED),
      entry("file", "./d"),
      entry("symlink", "./d", { target: "x" }),
    ]) {
      const [, found] = parseLayer(
        await merged([
          [ROOT, lower],
          [ROOT, folder],
        ]),
      );
      expect(found?.head.xattrs.get("trusted.overlay.opaque")).toBe("y");
    }
  });

  test("refuses a layer above the limits before it is written, and names its largest file", async () => {
    const path = join(folder, "large.tar");
    await writeFile(path, archiveOf([ROOT, entry("file", "./large", { data: "x".repeat(9000) })]));
    const limits = { ...LIMITS, tarBytes: 4096 };
    await expect(mergeLayers([path], limits, signal)).rejects.toThrow(
      'the layer would take 11.0 KiB, more than the 4.0 KiB allowed; largest is "/large" (8.8 KiB)',
    );
    await expect(mergeLayers([path], { ...LIMITS, entries: 1 }, signal)).rejects.toThrow("more than 1 entries");
  });

  test("refuses layers that have too many names together before it reads more of them", async () => {
    const paths = ["a", "b", "none"].map((name) => join(folder, `${name}.tar`));
    for (const path of paths.slice(0, 2))
      await writeFile(path, archiveOf([ROOT, entry("file", `./${"n".repeat(50)}${path.at(-5)}`)]));
    await expect(mergeLayers(paths, { ...LIMITS, entries: 2 }, signal)).rejects.toThrow(
      "the layers have 3 entries together; the most are 2",
    );
    await expect(mergeLayers(paths, { ...LIMITS, nameBytes: 60 }, signal)).rejects.toThrow(
      "the layers have names of 108 bytes together; the most are 60 bytes",
    );
  });
});
