import { createWriteStream } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseLayer } from "../../../test/parse-layer.ts";
import { sampleCheckpoint, writeCheckpoint } from "../../../test/sample-checkpoint.ts";
import { archiveOf, entry, ROOT } from "../../../test/sample-layer.ts";
import type { StoredLayer } from "../../domain/archive.ts";
import { createArchive } from "./create-archive.ts";
import { storedFile } from "./stored-file.ts";

const MOST_TAR_BYTES = 1024 * 1024;
const signal = new AbortController().signal;
const archive = createArchive();
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-archive-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function store(): Promise<StoredLayer & { readonly path: string }> {
  const checkpoint = join(folder, "checkpoint");
  const file = { path: "./low", sizeBytes: 5000, segments: [{ startPage: 0, pages: 2, fill: 7 }] };
  await writeCheckpoint(checkpoint, sampleCheckpoint([ROOT], [file]));
  await using taken = await archive.take(checkpoint, { containerName: "main", mostTarBytes: MOST_TAR_BYTES }, signal);
  expect(taken).toMatchObject({ entries: 2, runscVersion: "release-test" });
  const packed = taken.open(signal);
  const path = join(folder, "layer");
  await pipeline(packed.chunks, createWriteStream(path));
  return { path, ...storedFile(path, packed.sums()) };
}

describe("createArchive", () => {
  test("merges what it took with a raw archive, and leaves nothing but the result", async () => {
    const lower = await store();
    const raw = join(folder, "raw");
    await writeFile(raw, archiveOf([ROOT, entry("file", "./up", { data: "up" })]));
    const target = join(folder, "target");
    const request = { layers: [lower, storedFile(raw)], scratch: folder, target, mostTarBytes: MOST_TAR_BYTES };
    const merged = await archive.merge(request, signal);
    const bytes = new Uint8Array(await readFile(target));
    expect(merged).toMatchObject({ path: target, tarBytes: bytes.length, entries: 3 });
    expect(parseLayer(bytes).map(({ head }) => head.path)).toEqual(["./", "./low", "./up"]);
    expect((await readdir(folder)).toSorted()).toEqual(["checkpoint", "layer", "raw", "target"]);
  });

  test("leaves nothing when a layer is not what it should be", async () => {
    const lower = await store();
    const before = await readdir(folder);
    await writeFile(lower.path, "damaged");
    const request = { layers: [lower], scratch: folder, target: join(folder, "target"), mostTarBytes: MOST_TAR_BYTES };
    await expect(archive.merge(request, signal)).rejects.toMatchObject({ name: "ArchiveFault", code: "damaged" });
    expect(await readdir(folder)).toEqual(before);
  });

  test("has one of two archives of very many entries in memory, taken or merged, and merges what it has taken", async () => {
    const large = createArchive({ smallBytes: 0 });
    const options = { containerName: "main", mostTarBytes: MOST_TAR_BYTES };
    const lower = await store();
    const checkpoint = join(folder, "checkpoint");
    const first = await large.take(checkpoint, options, signal);
    const events: string[] = [];
    const second = large.take(checkpoint, options, signal).then((taken) => {
      events.push("taken");
      return taken;
    });
    const target = join(folder, "target");
    const request = { layers: [lower], scratch: folder, target, mostTarBytes: MOST_TAR_BYTES };
    await Promise.all([large.merge(request, signal), large.merge({ ...request, scratch: checkpoint }, signal)]);
    events.push("merged");
    await first[Symbol.asyncDispose]();
    await (await second)[Symbol.asyncDispose]();
    expect(events).toEqual(["merged", "taken"]);
  });
});
