import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createModelObjects, createModelStore } from "../../../../test/mounter/model-store.ts";
import { sampleRequest } from "../../../../test/mounter/sample-snapshot.ts";
import { parseLayer } from "../../../test/parse-layer.ts";
import { sampleCheckpoint, writeCheckpoint } from "../../../test/sample-checkpoint.ts";
import { archiveOf, entry, ROOT } from "../../../test/sample-layer.ts";
import type { LayerEntry } from "../../domain/archive.ts";
import { createRecent } from "../../domain/recent.ts";
import { createArchive } from "../../node/archive/create-archive.ts";
import { createLargeArchives } from "../../node/archive/large-archives.ts";
import { packLayer } from "../../node/archive/zstd.ts";
import { createLayerCache } from "../../node/cache/layer-cache.ts";
import { publishSnapshot } from "../../node/snapshot/publish-snapshot.ts";
import { createStaging } from "../../node/staging.ts";
import { holdTar } from "./hold-tar.ts";
import { writeWhole } from "./write-whole.ts";

const call = { signal: new AbortController().signal };
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-forgotten-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A snapshot of one file, in the store and in a cache whose disk has not kept it as it was. */
async function prepare() {
  const store = createModelStore(createModelObjects());
  const clock = createManualClock();
  const room = { maxBytes: 2 ** 24, reserveBytes: 0 };
  const cache = await createLayerCache({ dir: join(dir, "cache"), ...room }, { store, clock });
  const staging = await createStaging({ dir: join(dir, "staging"), ...room });
  let attempts = 0;
  const newAttempt = (): string => `t${(attempts += 1)}`;
  const [archive, large, sound] = [createArchive(), createLargeArchives(), createRecent<true>(1)];
  const ports = { store, clock, newAttempt, cache, staging, archive, large, sound, mostTarBytes: 2 ** 20 };
  const request = sampleRequest({ writeId: "w1", bytes: new Uint8Array() });
  const chunks = async function* () {
    yield archiveOf([ROOT, entry("file", "./a", { data: "one" })]);
  };
  const layer = { entries: 2, open: () => packLayer(chunks()) };
  const published = await publishSnapshot(ports, { ...request, layer }, call);
  if (published.kind !== "published") throw new Error("It is not published");
  const [lowest] = published.manifest.layers as [LayerEntry];
  (await cache.hold("team", lowest, call)).release();
  const folder = join(dir, "cache/team/sha256");
  for (const name of (await readdir(folder)).filter((each) => !each.includes("."))) {
    const bytes = await readFile(join(folder, name));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(join(folder, name), bytes);
  }
  return { ports, facts: request.facts, layer: lowest };
}

describe("a layer that the machine's own disk has not kept as it was", () => {
  test("is brought anew for whoever starts from it; what the store has damaged is damage", async () => {
    const { ports, layer } = await prepare();
    const placed: string[] = [];
    const onPlaced = ({ path }: { readonly path: string }): void => void placed.push(path);
    // Somebody may have read what was wrong.
    const first = holdTar(ports, { namespace: "team", layer }, { ...call, onPlaced });
    await expect(first).rejects.toMatchObject({ kind: "unavailable" });
    expect([placed.length, await readdir(join(dir, "staging"))]).toEqual([1, []]);
    const held = await holdTar(ports, { namespace: "team", layer }, call);
    const names = parseLayer(new Uint8Array(await readFile(held.answer.path))).map(({ head }) => head.path);
    expect(names).toEqual(["./", "./a"]);
    await held.release();
    const wrong = { ...layer, tarDigest: `sha256:${"0".repeat(64)}` };
    await expect(holdTar(ports, { namespace: "team", layer: wrong }, call)).rejects.toMatchObject({ code: "damaged" });
    expect(await readdir(join(dir, "staging"))).toEqual([]);
  });

  test("is brought anew for a snapshot that is written with it as a whole", async () => {
    const { ports, facts, layer } = await prepare();
    const folder = join(dir, "checkpoint");
    const file = { path: "./b", sizeBytes: 5000, segments: [{ startPage: 0, pages: 2, fill: 7 }] };
    await writeCheckpoint(folder, sampleCheckpoint([ROOT], [file]));
    const { digest, bytes, tarDigest, tarBytes, key } = layer;
    const ground = [{ key, bytes, digest, tarBytes, sums: { digest, bytes, tarDigest, tarBytes } }];
    const { runtime: _, warnings: __, ...said } = { ...facts, writeId: "w2" };
    const order = { folder, checkpointName: "main", facts: said, ground, mostTarBytes: 2 ** 20 };
    const written = await writeWhole(ports, order, call);
    expect(written).toMatchObject({ kind: "published", manifest: { layers: [{ entries: 3 }] } });
  });
});
