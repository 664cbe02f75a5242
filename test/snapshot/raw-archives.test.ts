import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { rawKey } from "#core/snapshot/snapshot-keys.ts";
import { createRecent } from "#mounter/domain/recent.ts";
import { createQuota } from "#mounter/domain/quota.ts";
import { isWhiteout } from "#mounter/archive/entry-head.ts";
import { channelFault } from "#mounter/local/node/channel-fault.ts";
import { holdTar } from "#mounter/local/node/hold-tar.ts";
import { createArchive } from "#mounter/node/archive/create-archive.ts";
import { createLargeArchives } from "#mounter/node/archive/large-archives.ts";
import { createLayerCache } from "#mounter/node/cache/layer-cache.ts";
import { createMergedTars } from "#mounter/node/restore/merged-tars.ts";
import { createRestoreFiles } from "#mounter/node/restore/restore-files.ts";
import { createRestoreWork } from "#mounter/node/restore/create-restore-work.ts";
import { createStaging } from "#mounter/node/staging.ts";
import { applyEntry } from "#runtime/backend/local/node/root/apply-layer.ts";
import { openLayer } from "#runtime/backend/local/node/root/layer-file.ts";
import { readTar } from "#runtime/backend/local/node/root/tar-reader.ts";
import { isFolder, makeFolder, TreeMeter, type TreeNode } from "#runtime/backend/local/node/root/tree.ts";
import { createManualClock } from "../harness/manual-clock.ts";
import { createModelObjects, createModelStore } from "../mounter/model-store.ts";
import { parseLayer } from "../../mounter/test/parse-layer.ts";
import { archiveOf, arbitraryLayer, entry, ROOT, type SampleEntry } from "../../mounter/test/sample-layer.ts";

const call = { signal: new AbortController().signal };
const place = { namespace: "team", name: "raw" };
const owner = { namespace: "team", sandboxUid: "11111111-2222-3333-4444-555555555555" };
const MOST_TAR_BYTES = 2 ** 20;
const LIMITS = { maxEntries: 2 ** 20, maxNameBytes: 2 ** 28, maxBytes: 2 ** 30 };

let dir: string;
let runs = 0;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-snapshot-raw-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** What a backend makes of an archive: the names that are there over an empty image, or what its user is told. */
type Verdict = readonly string[] | { readonly reason: string; readonly message: string };

/** A store with the archive, and what both backends keep on the disk. */
async function prepare(bytes: Uint8Array) {
  const here = join(dir, String((runs += 1)));
  const store = createModelStore(createModelObjects());
  await store.put(rawKey(place.namespace, place.name), bytes, { kind: "always" }, call);
  const clock = createManualClock();
  const room = { maxBytes: 2 ** 25, reserveBytes: 0 };
  const cache = await createLayerCache({ dir: join(here, "cache"), ...room }, { store, clock });
  const staging = await createStaging({ dir: join(here, "staging"), ...room });
  return { here, room, store, clock, cache, staging };
}

async function onKubernetes(bytes: Uint8Array): Promise<Verdict> {
  const { here, room, store, clock, cache, staging } = await prepare(bytes);
  const tars = await createMergedTars({ dir: join(here, "tars"), keptBytes: 2 ** 24, ...room }, clock);
  const files = await createRestoreFiles(join(here, "restores"));
  const work = createRestoreWork(
    { store, archive: createArchive(), cache, staging, tars, files, slots: createQuota(1) },
    { mostTarBytes: MOST_TAR_BYTES },
  );
  try {
    const found = await work.find(place, call);
    if (found === undefined) throw new Error("There is none");
    await work.place(owner, "main", found, call);
  } catch (error) {
    const { message, isDamage } = work.fault(error);
    return { reason: isDamage ? "SnapshotDamaged" : "RootfsRestoreConfigurationError", message };
  }
  const tar = await readFile(join(here, "restores/team", owner.sandboxUid, "main.tar"));
  return parseLayer(new Uint8Array(tar))
    .map(({ head }) => head)
    .filter((head) => !isWhiteout(head))
    .map(({ path }) => path)
    .toSorted();
}

async function onOneMachine(bytes: Uint8Array): Promise<Verdict> {
  const { store, cache, staging } = await prepare(bytes);
  const { version } = await store.stat(rawKey(place.namespace, place.name), call);
  const layer = { key: rawKey(place.namespace, place.name), version, bytes: bytes.length };
  const ports = {
    cache,
    staging,
    large: createLargeArchives(),
    sound: createRecent<true>(1),
    mostTarBytes: MOST_TAR_BYTES,
  };
  let path: string;
  try {
    path = (await holdTar(ports, { namespace: "team", layer }, call)).answer.path;
  } catch (error) {
    const { code, message } = channelFault(error);
    return { reason: code === "damaged" ? "SnapshotDamaged" : code, message };
  }
  return treeOf(path);
}

/** Puts it onto an empty image, as the root of a sandbox is made. */
function treeOf(path: string): readonly string[] {
  const file = openLayer(path);
  try {
    const root = makeFolder(0o755);
    const deleted = new Set<string>();
    const meter = new TreeMeter(LIMITS);
    const at = ({ offset }: { readonly offset: number }) => ({ kind: "layer" as const, layer: 0, offset });
    readTar({ file }, (located) => {
      applyEntry(root, located, { place: at, meter, deleted });
      return undefined;
    });
    return namesOf(root, ".").toSorted();
  } finally {
    file.close();
  }
}

function namesOf(node: TreeNode, path: string): string[] {
  if (!isFolder(node)) return [path];
  return [`${path}/`, ...[...node.children].flatMap(([name, child]) => namesOf(child, `${path}/${name}`))];
}

const folder = (path: string): SampleEntry => entry("folder", path, { mode: 0o755 });
const file = (path: string, data = "data"): SampleEntry => entry("file", path, { data });
const link = (path: string, target: string): SampleEntry => entry("hardLink", path, { target });
const deletion = (path: string): SampleEntry => entry("character", path);
const WHOLE = archiveOf([ROOT, folder("./d/"), file("./d/f", "x".repeat(5000)), link("./l", "./d/f")]);

describe("an archive without a manifest", () => {
  test.each<readonly [string, Uint8Array, readonly string[]]>([
    ["of a tree", WHOLE, ["./", "./d/", "./d/f", "./l"]],
    ["of nothing but the root", archiveOf([ROOT]), ["./"]],
    [
      "in the order of a dump: folders before what lies in them, else as it comes",
      archiveOf([ROOT, folder("./z/"), file("./z/b"), folder("./a/"), link("./a/l", "./z/b"), file("./z/a")]),
      ["./", "./a/", "./a/l", "./z/", "./z/a", "./z/b"],
    ],
    [
      "with deletions, of which one is a link to another",
      archiveOf([ROOT, deletion("./gone"), link("./gone-too", "./gone"), file("./f")]),
      ["./", "./f"],
    ],
    ["with zeroes behind its end", Buffer.concat([WHOLE, new Uint8Array(9000)]), ["./", "./d/", "./d/f", "./l"]],
  ])("%s is restored by both backends as the same tree", async (_, bytes, names) => {
    expect(await onKubernetes(bytes)).toEqual(names);
    expect(await onOneMachine(bytes)).toEqual(names);
  });

  test.each<readonly [string, Uint8Array, string]>([
    ["that is empty", new Uint8Array(), "the archive is empty"],
    ["that is none", new TextEncoder().encode("no archive at all\n".repeat(100)), "is not of the form of POSIX.1-2001"],
    ["of less than a block", new TextEncoder().encode("none"), "the archive is cut before its end"],
    ["that is nothing but an end", new Uint8Array(1024), 'the archive has no entry "./" for the root'],
    ["that is cut within a header", WHOLE.subarray(0, 700), "the archive is cut before its end"],
    ["that is cut within a file", WHOLE.subarray(0, 3000), 'the archive is cut within "/d/f"'],
    ["that is cut between two entries", archiveOf([ROOT, file("./f")], 0), "the archive is cut before its end"],
    ["that has one of two blocks at its end", archiveOf([ROOT, file("./f")], 512), "the archive is cut before its end"],
    ["that goes on after its end", Buffer.concat([WHOLE, WHOLE]), "the archive goes on after its end"],
    ["with a name twice", archiveOf([ROOT, file("./f", "1"), file("./f", "2")]), '"/f" is there twice'],
    ["with a file and a folder of one name", archiveOf([ROOT, file("./f"), folder("./f/")]), '"/f/" is there twice'],
    ["with a deletion and a file of one name", archiveOf([ROOT, deletion("./f"), file("./f")]), '"/f" is there twice'],
    ["with the root twice", archiveOf([ROOT, ROOT]), '"/" is there twice'],
    ["without a root", archiveOf([folder("./d/"), file("./d/f")]), 'has no entry "./" for the root'],
    ["with a file whose folder it lacks", archiveOf([ROOT, file("./d/f")]), 'entry "/d/f" lies in a folder that'],
    ["with a file in a file", archiveOf([ROOT, file("./d"), file("./d/f")]), 'entry "/d/f" lies in a folder that'],
    [
      "with a file before its folder",
      archiveOf([ROOT, file("./d/f"), folder("./d/")]),
      'entry "/d/f" comes before the folder that it lies in',
    ],
    [
      "with a link before what it links to",
      archiveOf([ROOT, link("./a", "./b"), file("./b")]),
      'entry "/a" comes before "/b", which it is a hard link to',
    ],
    ["with a link to nothing", archiveOf([ROOT, link("./a", "./b")]), 'a hard link to "/b", which is not there'],
    ["with a way out", archiveOf([ROOT, file("./../f")]), 'has ".." in its path'],
    ["with a name from the root", archiveOf([ROOT, file("/f")]), 'has a path that does not begin with "./"'],
    [
      "with more data than may be",
      archiveOf([ROOT, entry("file", "./f", { sizeBytes: 2 ** 30 })]),
      'says that its entry "/f" has 1.0 GiB',
    ],
  ])("%s is refused by both for the same reason in the same words", async (_, bytes, words) => {
    const verdict = await onKubernetes(bytes);
    expect(verdict).toMatchObject({ reason: "SnapshotDamaged" });
    expect(verdict).toHaveProperty("message", expect.stringContaining(words));
    expect(await onOneMachine(bytes)).toEqual(verdict);
  });

  test("of any form is judged alike, and what is taken becomes the same tree", async () => {
    const change = fc.record({ at: fc.nat(), gone: fc.nat(600), bytes: fc.uint8Array({ maxLength: 600 }) });
    const entries = fc.tuple(arbitraryLayer, fc.boolean(), fc.nat()).map(([layer, isMixed, at]) => {
      if (!isMixed) return layer;
      const index = at % layer.length;
      return [...layer.slice(index), ...layer.slice(0, index)];
    });
    await fc.assert(
      fc.asyncProperty(entries, fc.array(change, { maxLength: 1 }), async (layer, changes) => {
        let bytes = archiveOf(layer);
        for (const { at, gone, bytes: put } of changes) {
          const from = at % bytes.length;
          bytes = new Uint8Array(Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + gone)]));
        }
        expect(await onOneMachine(bytes)).toEqual(await onKubernetes(bytes));
      }),
      { numRuns: 100 },
    );
  });
});
