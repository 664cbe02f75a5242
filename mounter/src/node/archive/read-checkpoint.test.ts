import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { layerLimits } from "../../archive/layer-limits.ts";
import { byteString } from "../../archive/byte-string.ts";
import { collect, parseLayer } from "../../../test/parse-layer.ts";
import {
  contentOf,
  numbersOf,
  sampleCheckpoint,
  writeCheckpoint,
  type SampleCheckpoint,
  type SampleFile,
} from "../../../test/sample-checkpoint.ts";
import { archiveOf, entry, ROOT } from "../../../test/sample-layer.ts";
import { readCheckpoint, writeLayer } from "./read-checkpoint.ts";

const PAGE_BYTES = 4096;
const LIMITS = layerLimits(64 * 1024 * 1024);
const signal = new AbortController().signal;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-checkpoint-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function layerOf(sample: SampleCheckpoint, limits = LIMITS): Promise<Uint8Array> {
  await writeCheckpoint(folder, sample);
  await using read = await readCheckpoint(folder, "main", limits, signal);
  const layer = writeLayer(read, limits);
  const bytes = await collect(layer.chunks(signal));
  expect(bytes.length).toBe(layer.facts.tarBytes);
  return bytes;
}

const segments = fc
  .array(fc.record({ gap: fc.nat(3), pages: fc.integer({ min: 1, max: 5 }), fill: fc.nat(3) }), { maxLength: 6 })
  .map((parts) => {
    let at = 0;
    return parts.map(({ gap, pages, fill }) => {
      const startPage = at + gap;
      at = startPage + pages;
      return { startPage, pages, fill };
    });
  });
const file = fc.record({ sizeBytes: fc.nat(40 * PAGE_BYTES), segments });
const usual = (): SampleCheckpoint => sampleCheckpoint([ROOT], [TWO_PAGES]);
const TWO_PAGES: SampleFile = {
  path: "./f",
  sizeBytes: 2 * PAGE_BYTES,
  segments: [{ startPage: 0, pages: 2, fill: 1 }],
};

describe("readCheckpoint and writeLayer", () => {
  test("give files with the data and the holes that the checkpoint says", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(file, { maxLength: 5 }), async (files) => {
        const named = files.map((each, index) => ({ ...each, path: `./${index}` }));
        const entries = parseLayer(await layerOf(sampleCheckpoint([ROOT], named)));
        const found = entries.slice(1).map(({ head, data }) => [head.path, byteString(data)]);
        expect(found).toEqual(named.map((each) => [each.path, byteString(contentOf(each))]));
      }),
      { numRuns: 40 },
    );
  });

  test("refuse more than the limit before anything is written, and say that it is mostly holes", async () => {
    const holes = { path: "./big", sizeBytes: 2 ** 62, segments: [{ startPage: 2 ** 49, pages: 1, fill: 1 }] };
    await expect(layerOf(sampleCheckpoint([ROOT], [TWO_PAGES, holes]))).rejects.toThrow(
      'the layer would take 4.0 EiB, more than the 64.0 MiB allowed; largest is "/big" (4.0 EiB, mostly holes)',
    );
  });

  test("warn of holes that a restore fills", async () => {
    const holes = { path: "./holes", sizeBytes: 3 * 1024 * 1024, segments: [{ startPage: 0, pages: 1, fill: 1 }] };
    await writeCheckpoint(folder, sampleCheckpoint([ROOT], [TWO_PAGES, holes]));
    await using read = await readCheckpoint(folder, "main", LIMITS, signal);
    expect(writeLayer(read, LIMITS).facts.warnings).toEqual([
      {
        code: "HolesFilled",
        message: "Holes in files take their full size of 3.0 MiB when restored.",
        count: 1,
        examples: ["/holes"],
      },
    ]);
  });

  const body = (...numbers: number[]): Uint8Array =>
    archiveOf([ROOT, entry("file", "./f", { data: numbersOf(numbers) })]);
  const at = 3 * PAGE_BYTES;
  const FAULTS: readonly (readonly [string, Partial<SampleCheckpoint>, string])[] = [
    ["another version", { version: 2 }, "unsupported: the checkpoint is of version 2; this release reads version 1"],
    ["other pages", { pageBytes: 65_536 }, "unsupported: the checkpoint is of pages of 65536 bytes"],
    ["another byte order", { endian: "big" }, "unsupported: the checkpoint is of big byte order"],
    ["no such container", { containerName: "mains" }, 'not-found: the checkpoint has no root of a container "main"'],
    ["an archive beyond its file", { tarEndOffBy: 1 }, "damaged: the checkpoint's archive lie beyond their file"],
    ["an archive without its end", { tarEndOffBy: -512 }, "damaged: the archive is cut before its end"],
    ["pages that are cut", { pages: new Uint8Array(PAGE_BYTES) }, "damaged: the checkpoint's pages end at byte 8192"],
    ["pages too many", { pages: new Uint8Array(3 * PAGE_BYTES) }, "damaged: the checkpoint's pages end at byte 16384"],
    ["ranges out of order", { ranges: [[at, at, 1]] }, "ranges that are not in order"],
    [
      "ranges that overlap",
      {
        ranges: [
          [at, at + 8192, 1],
          [at, at + 8192, 0],
        ],
      },
      "ranges that are not in order",
    ],
    ["a range of half a page", { ranges: [[at, at + 100, 1]] }, "ranges that are not in order"],
    [
      "a file without a size",
      { archive: archiveOf([ROOT, entry("file", "./f")]) },
      'damaged: the checkpoint\'s file "/f": a segment of a file is cut',
    ],
    ["half a segment", { archive: body(1, 0, PAGE_BYTES) }, "is cut: a file has a size and whole segments"],
    ["a segment of no pages", { archive: body(1, 0, 0, at) }, "is no range of whole pages"],
    ["a segment of half a page", { archive: body(1, 0, 100, at) }, "is no range of whole pages"],
    [
      "a segment before the last",
      { archive: body(1, 4096, 8192, at, 0, 4096, at) },
      "lies before the end of the one before it",
    ],
    [
      "a segment beyond memory",
      { archive: body(1, 0, 8192, at + 4096) },
      "does not have the memory that a file points to",
    ],
    [
      "a segment before memory",
      { archive: body(1, 0, 4096, at - 4096) },
      "does not have the memory that a file points to",
    ],
    ["a segment far beyond", { archive: body(1, 0, 4096, 2 ** 63) }, "does not have the memory that a file points to"],
    ["a segment of everything", { archive: body(1, 0, 2 ** 63, at) }, "needs more memory than there is"],
    [
      "two files of one memory",
      {
        archive: archiveOf([
          ROOT,
          ...["./a", "./b"].map((path) => entry("file", path, { data: numbersOf([1, 0, 8192, at]) })),
        ]),
      },
      "the checkpoint's files need more memory than there is",
    ],
  ];
  test.each(FAULTS)("refuse %s", async (_, change, wrong) => {
    const fault: unknown = await layerOf({ ...usual(), ...change }).catch((error: unknown) => error);
    expect(fault).toMatchObject({ name: "ArchiveFault" });
    const { code, message } = fault as { code: string; message: string };
    expect(`${code}: ${message}`).toContain(wrong);
  });

  test("refuse files that are not there or empty", async () => {
    await writeCheckpoint(folder, usual());
    await writeFile(join(folder, "fscheckpoint.pb"), "");
    await expect(readCheckpoint(folder, "main", LIMITS, signal)).rejects.toThrow("the checkpoint is empty");
    await rm(join(folder, "pages.img"));
    await expect(readCheckpoint(folder, "main", LIMITS, signal)).rejects.toThrow("ENOENT");
  });
});
