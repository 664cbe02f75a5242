import { createHash } from "node:crypto";
import { mkdtemp, open, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collect } from "../../../test/parse-layer.ts";
import { sampleCheckpoint, writeCheckpoint } from "../../../test/sample-checkpoint.ts";
import { archiveOf, entry, ROOT } from "../../../test/sample-layer.ts";
import { FRAME_BYTES } from "../../archive/zstd-frame.ts";
import { createArchive } from "./create-archive.ts";
import { storedFile } from "./stored-file.ts";
import { writeChunks } from "./write-chunks.ts";
import { unpackLayer } from "./zstd.ts";
import { zeroes } from "./zeroes.ts";

const signal = new AbortController().signal;
const PAGE = 4096;
const HEADERS = 1024;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-holes-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const bytesOnDisk = async (path: string): Promise<number> => (await stat(path)).blocks * 512;

describe("a hole", () => {
  test.each([
    ["of a frame, less its headers", FRAME_BYTES - HEADERS, undefined],
    ["of a frame and a byte", FRAME_BYTES + 1, undefined],
    ["of several frames, and a page behind it", 5 * FRAME_BYTES, (5 * FRAME_BYTES) / PAGE - 1],
    ["around a page", 7 * FRAME_BYTES + 12_345, (3 * FRAME_BYTES) / PAGE],
  ])("%s is taken, packed and unpacked as the zeroes that it stands for", async (_, sizeBytes, page) => {
    const segments = page === undefined ? [] : [{ startPage: page, pages: 1, fill: 7 }];
    await writeCheckpoint(join(folder, "checkpoint"), sampleCheckpoint([ROOT], [{ path: "./f", sizeBytes, segments }]));
    const data = new Uint8Array(sizeBytes);
    if (page !== undefined) data.fill(7, page * PAGE, (page + 1) * PAGE);
    const { head } = entry("file", "./f");
    const plain = archiveOf([ROOT, { head: { ...head, sizeBytes }, data }]);

    const options = { containerName: "main", mostTarBytes: 2 ** 30 };
    await using taken = await createArchive().take(join(folder, "checkpoint"), options, signal);
    const packed = taken.open(signal);
    const stored = join(folder, "layer.tar.zst");
    await writeChunks(packed.chunks, stored, { signal });
    const sums = packed.sums();
    expect(sums.tarDigest).toBe(`sha256:${createHash("sha256").update(plain).digest("hex")}`);
    const unpacked = join(folder, "layer.tar");
    await writeChunks(unpackLayer(storedFile(stored).open(signal), sums), unpacked, { signal });
    expect(Buffer.compare(await readFile(unpacked), plain)).toBe(0);
  });

  test("of a GiB is packed as little, and takes no disk where it is unpacked", { timeout: 60_000 }, async () => {
    const sizeBytes = 2 ** 30;
    await writeCheckpoint(
      join(folder, "checkpoint"),
      sampleCheckpoint([ROOT], [{ path: "./f", sizeBytes, segments: [] }]),
    );
    const options = { containerName: "main", mostTarBytes: 2 ** 32 };
    await using taken = await createArchive().take(join(folder, "checkpoint"), options, signal);
    const packed = taken.open(signal);
    const stored = await collect(packed.chunks);
    expect(stored.length).toBeLessThan(100_000);
    const source = async function* () {
      yield stored;
    };
    const unpacked = join(folder, "layer.tar");
    await writeChunks(unpackLayer(source(), packed.sums()), unpacked, { signal, isDurable: true });
    expect((await stat(unpacked)).size).toBe(taken.tarBytes);
    expect(await bytesOnDisk(unpacked)).toBeLessThan(8 * 2 ** 20);
  });

  test("is there for who reads a file as it grows, also at its end", async () => {
    const path = join(folder, "file");
    const seen: string[] = [];
    const chunks = async function* () {
      for (const chunk of [Buffer.from("begin"), zeroes(FRAME_BYTES), Buffer.from("middle"), zeroes(5), undefined]) {
        if (chunk === undefined) return;
        yield chunk;
        // The one before has been written when the next is asked for.
        await using file = await open(path);
        seen.push(String((await file.stat()).size));
      }
    };
    await writeChunks(chunks(), path, { signal });
    const bytes = await readFile(path);
    const whole = Buffer.concat([Buffer.from("begin"), zeroes(FRAME_BYTES), Buffer.from("middle"), zeroes(5)]);
    expect(Buffer.compare(bytes, whole)).toBe(0);
    expect(Number(seen.at(-1))).toBeGreaterThanOrEqual(FRAME_BYTES + 5);
  });
});
