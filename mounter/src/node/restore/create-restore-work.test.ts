import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { rawKey } from "#core/snapshot/snapshot-keys.ts";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createModelObjects, createModelStore } from "../../../../test/mounter/model-store.ts";
import { sampleRequest } from "../../../../test/mounter/sample-snapshot.ts";
import { parseLayer } from "../../../test/parse-layer.ts";
import { archiveOf, entry, ROOT } from "../../../test/sample-layer.ts";
import { createArchive } from "../archive/create-archive.ts";
import { packLayer } from "../archive/zstd.ts";
import { createLayerCache } from "../cache/layer-cache.ts";
import { publishSnapshot } from "../snapshot/publish-snapshot.ts";
import { createQuota } from "../../domain/quota.ts";
import type { RestoreCall } from "../../control/restore-work.ts";
import { createStaging } from "../staging.ts";
import { createMergedTars } from "./merged-tars.ts";
import { createRestoreFiles } from "./restore-files.ts";
import { createRestoreWork } from "./create-restore-work.ts";

const call = { signal: new AbortController().signal };
const PART_BYTES = 2 ** 20;
const PARTS = 10;
const place = { namespace: "team", name: "work" };
const owner = (digit: number) => ({
  namespace: "team",
  sandboxUid: `${String(digit).repeat(8)}-2222-3333-4444-555555555555`,
});
let dir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-restore-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

interface Node {
  readonly mostTarBytes?: number;
  readonly onRead?: (key: string) => Promise<void>;
  readonly slots?: number;
  readonly stagingBytes?: number;
  readonly smallBytes?: number;
  readonly keptBytes?: number;
}

async function prepare(node: Node = {}) {
  const { mostTarBytes = 2 ** 20, onRead = async () => undefined, slots = 2, stagingBytes = 2 ** 25 } = node;
  const model = createModelObjects();
  const steps: string[] = [];
  const store = createModelStore(model, async (when, what) => {
    if (when !== "before") return;
    steps.push(what);
    if (what.startsWith("read ")) await onRead(what);
  });
  const clock = createManualClock();
  const room = { maxBytes: 2 ** 26, reserveBytes: 0 };
  const folder = join(dir, "restores");
  const work = createRestoreWork(
    {
      store,
      archive: createArchive(node.smallBytes === undefined ? {} : { smallBytes: node.smallBytes }),
      cache: await createLayerCache({ dir: join(dir, "cache"), partBytes: PART_BYTES, ...room }, { store, clock }),
      staging: await createStaging({ dir: join(folder, ".work"), reserveBytes: 0, maxBytes: stagingBytes }),
      tars: await createMergedTars(
        { dir: join(folder, ".tars"), keptBytes: node.keptBytes ?? 2 ** 24, ...room },
        clock,
      ),
      files: await createRestoreFiles(folder),
      slots: createQuota(slots),
    },
    { mostTarBytes },
  );
  let attempts = 0;
  const newAttempt = (): string => `t${(attempts += 1)}`;
  /** Writes layers as one snapshot, bottom first. */
  const publish = async (writeId: string, ...layers: readonly Uint8Array[]): Promise<void> =>
    publishAs(place.name, writeId, ...layers);
  const publishAs = async (name: string, writeId: string, ...layers: readonly Uint8Array[]): Promise<void> => {
    const request = sampleRequest({ name, writeId, second: attempts, bytes: new Uint8Array() });
    for (const bytes of layers) {
      const below = await work
        .find({ ...place, name }, call)
        .then((found) => (found?.manifest?.writeId.startsWith(writeId) ? found.manifest.layers : []));
      const chunks = async function* () {
        yield bytes;
      };
      const layer = { entries: 2, open: () => packLayer(chunks()) };
      const facts = { ...request.facts, writeId: `${writeId}x${attempts}` };
      await publishSnapshot({ store, clock, newAttempt }, { facts, below, layer }, call);
    }
  };
  const names = async (digit: number): Promise<string[]> => {
    const bytes = await readFile(join(folder, "team", owner(digit).sandboxUid, "main.tar"));
    return parseLayer(new Uint8Array(bytes)).map(({ head }) => head.path);
  };
  const put = async (digit: number, call: RestoreCall = { signal: new AbortController().signal }) =>
    putOf(place.name, digit, call);
  const putOf = async (name: string, digit: number, call: RestoreCall = { signal: new AbortController().signal }) => {
    const found = await work.find({ ...place, name }, call);
    if (found === undefined) throw new Error("There is none");
    return work.place(owner(digit), "main", found, call);
  };
  const reads = (): number => steps.filter((step) => step.startsWith("read ")).length;
  return { model, store, work, publish, publishAs, names, put, putOf, reads, steps, folder };
}

const file = (path: string, text: string): Uint8Array => archiveOf([ROOT, entry("file", path, { data: text })]);

describe("createRestoreWork()", () => {
  test("puts one snapshot into place for ten sandboxes at once: read once, unpacked once, shared on the disk", async () => {
    const { publish, put, names, reads, folder } = await prepare();
    await publish("w1", file("./a", "one"));
    const before = reads();
    const placed = await Promise.all(Array.from({ length: 10 }, (_, digit) => put(digit)));
    expect(reads() - before).toBe(1);
    expect(await names(3)).toEqual(["./", "./a"]);
    const { ino, size } = await stat(join(folder, "team", owner(0).sandboxUid, "main.tar"));
    expect([(await stat(join(folder, "team", owner(9).sandboxUid, "main.tar"))).ino, placed[0]?.tarBytes]).toEqual([
      ino,
      size,
    ]);
    for (const { remove } of placed) await remove();
    expect([await readdir(join(folder, "team")), await readdir(join(folder, ".work"))]).toEqual([[], []]);
  });

  test("puts together what several layers do, and knows its size only then", async () => {
    const { publish, put, names, work } = await prepare();
    await publish("w1", file("./a", "one"), file("./b", "two"));
    expect((await work.find(place, call))?.tarBytes).toBeUndefined();
    const { tarBytes } = await put(1);
    expect([await names(1), tarBytes % 512]).toEqual([["./", "./a", "./b"], 0]);
  });

  test("takes an archive of another program, and a manifest in its stead once there is one", async () => {
    const { store, publish, put, names, work } = await prepare();
    expect(await work.find(place, call)).toBeUndefined();
    const raw = file("./raw", "raw");
    await store.put(rawKey("team", "work"), raw, { kind: "always" }, call);
    expect(await work.find(place, call)).toMatchObject({ tarBytes: raw.length });
    await put(1);
    expect(await names(1)).toEqual(["./", "./raw"]);
    await publish("w1", file("./a", "one"));
    await put(1);
    expect(await names(1)).toEqual(["./", "./a"]);
  });

  test("restores exactly what was found, or nothing", async () => {
    const { publish, names, work } = await prepare();
    await publish("w1", file("./a", "one"));
    const found = await work.find(place, call);
    await publish("w2", file("./b", "two"));
    // The first one's layer is still there; its manifest is not.
    const late = work.place(owner(1), "main", found ?? { place, snapshot: undefined as never }, call);
    const error: unknown = await late.then(
      () => undefined,
      (fault: unknown) => fault,
    );
    expect(work.fault(error)).toMatchObject({ isDamage: false });
    await expect(names(1)).rejects.toThrow("ENOENT");
  });

  test("brings a layer anew that the node's own disk has not kept as it was", async () => {
    const { publish, put, names, reads, work } = await prepare();
    await publish("w1", file("./a", "one"));
    const first = await put(1);
    await publish("w2", file("./a", "one"), file("./b", "two"));
    await first.remove();
    const folder = join(dir, "cache/team/sha256");
    for (const name of (await readdir(folder)).filter((each) => !each.includes("."))) {
      const bytes = await readFile(join(folder, name));
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(join(folder, name), bytes);
    }
    const before = reads();
    await put(2);
    expect([await names(2), reads() - before]).toEqual([["./", "./a", "./b"], 2]);
    expect(await work.placed(owner(2), "main")).toBeDefined();
  });

  test.each(["flipped", "cut", "swapped"])(
    "a layer that is %s is damage, and nothing is put into place",
    async (how) => {
      const { model, publish, put, work, names } = await prepare();
      await publish("w1", file("./a", "one"));
      for (const [key, object] of model.objects) {
        if (!key.endsWith(".zst")) continue;
        const bytes = object.bytes.slice(0, how === "cut" ? -1 : undefined);
        if (how === "flipped") bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
        const other = how === "swapped" ? file("./evil", "evil") : bytes;
        model.objects.set(key, { ...object, bytes: other, sizeBytes: other.length });
      }
      const error: unknown = await put(1).then(
        () => undefined,
        (fault: unknown) => fault,
      );
      expect(work.fault(error)).toMatchObject({ isDamage: true });
      await expect(names(1)).rejects.toThrow("ENOENT");
    },
  );

  test.each(["comes", "fails", "shows another digest", "is no longer waited for"])(
    "unpacks a layer while it comes, and puts nothing into place before its last part %s",
    async (end) => {
      const last = Promise.withResolvers<void>();
      let reads = 0;
      const { publish, put, names, folder, model, work } = await prepare({
        mostTarBytes: 2 ** 24,
        async onRead() {
          reads += 1;
          if (reads === PARTS) await last.promise;
        },
      });
      // Letters that no compression makes much smaller.
      const data = randomBytes((PARTS - 1) * PART_BYTES).toString("latin1");
      await publish("w1", archiveOf([ROOT, entry("file", "./a", { data })]));
      const [layer, manifest] = ["zst", "json"].map((ending) =>
        [...model.objects.values()].find(({ key }) => key.endsWith(`.${ending}`)),
      );
      expect(Math.ceil((layer?.sizeBytes ?? 0) / PART_BYTES)).toBe(PARTS);
      if (end === "shows another digest" && manifest !== undefined) {
        const { layers, ...rest } = SnapshotManifest.parse(JSON.parse(new TextDecoder().decode(manifest.bytes)));
        const other = layers.map((each) => ({ ...each, digest: `sha256:${"0".repeat(64)}` }));
        const bytes = new TextEncoder().encode(JSON.stringify({ ...rest, layers: other }));
        model.objects.set(manifest.key, { ...manifest, bytes, sizeBytes: bytes.length });
      }
      const leaving = new AbortController();
      const placed = put(1, { signal: leaving.signal });
      placed.catch(() => undefined);
      const unpacked = async (): Promise<number> => {
        const places = await readdir(join(folder, ".work")).catch(() => []);
        const found = await Promise.all(
          places.map((each) => stat(join(folder, ".work", each, "only.tar")).catch(() => undefined)),
        );
        return Math.max(0, ...found.map((each) => each?.size ?? 0));
      };
      await expect.poll(unpacked).toBeGreaterThan(0);
      await expect(names(1)).rejects.toThrow("ENOENT");
      if (end === "is no longer waited for") leaving.abort(new Error("no more"));
      if (end === "fails") last.reject(new Error("the store is gone"));
      else last.resolve();
      if (end === "comes") {
        await placed;
        expect(await names(1)).toEqual(["./", "./a"]);
      } else {
        const error: unknown = await placed.then(
          () => undefined,
          (fault: unknown) => fault,
        );
        expect(error).toBeInstanceOf(Error);
        expect(work.fault(error).isDamage).toBe(end === "shows another digest");
        await expect(names(1)).rejects.toThrow("ENOENT");
      }
      await expect.poll(() => readdir(join(folder, ".work"))).toEqual([]);
    },
  );

  test.each<[string, Node]>([
    ["slot to unpack in", { slots: 3 }],
    ["turn of large archives", { slots: 8, smallBytes: 0 }],
    ["room on the disk", { slots: 8, stagingBytes: 2.2 * PARTS * PART_BYTES }],
    ["slot where there is but one", { slots: 1 }],
  ])("what lies in the cache waits for no %s that a download holds which does not come", async (_, node) => {
    const last = Promise.withResolvers<void>();
    const reads = new Map<string, number>();
    const { publishAs, putOf, names, folder } = await prepare({
      mostTarBytes: 2 ** 24,
      keptBytes: 0,
      ...node,
      async onRead(key) {
        reads.set(key, (reads.get(key) ?? 0) + 1);
        if (!key.includes("/here.") && reads.get(key) === PARTS) await last.promise;
      },
    });
    const away = ["one", "two", "three"];
    for (const name of ["here", ...away]) {
      const data = randomBytes((PARTS - 0.5) * PART_BYTES).toString("latin1");
      await publishAs(name, name, archiveOf([ROOT, entry("file", `./${name}`, { data })]));
    }
    await (await putOf("here", 0)).remove();
    await expect.poll(() => readdir(join(folder, ".tars/team"))).toEqual([]);
    const coming = Promise.all(away.map((name, digit) => putOf(name, digit + 1)));
    coming.catch(() => undefined);
    await expect.poll(() => [...reads.values()].filter((count) => count === PARTS).length).toBe(4);
    await putOf("here", 0);
    expect(await names(0)).toEqual(["./", "./here"]);
    last.resolve();
    await coming;
    for (const [index, name] of away.entries()) expect(await names(index + 1)).toEqual(["./", `./${name}`]);
    await expect.poll(() => readdir(join(folder, ".work"))).toEqual([]);
  });

  test("refuses what is larger than this node restores before it reads any of it", async () => {
    const { publish, put, reads } = await prepare({ mostTarBytes: 512 });
    await publish("w1", file("./a", "one"));
    const before = reads();
    await expect(put(1)).rejects.toMatchObject({ name: "RestoreFault" });
    expect(reads()).toBe(before);
  });
});
