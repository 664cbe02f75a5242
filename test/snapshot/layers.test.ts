import { createReadStream, createWriteStream } from "node:fs";
import { cp, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ArchiveFault } from "#mounter/archive/archive-fault.ts";
import { layerLimits } from "#mounter/archive/layer-limits.ts";
import { checkLayer } from "#mounter/node/archive/check-layer.ts";
import { summing } from "#mounter/node/archive/digest.ts";
import { mergeLayers } from "#mounter/node/archive/merge-layers.ts";
import { readCheckpoint, writeLayer } from "#mounter/node/archive/read-checkpoint.ts";
import { packLayer, unpackLayer } from "#mounter/node/archive/zstd.ts";
import { startSnapshotLab, type SnapshotLab } from "./lab.ts";

const LIMITS = layerLimits(512 * 1024 * 1024);
const signal = new AbortController().signal;

type Listing = Record<string, Record<string, unknown>>;

let lab: SnapshotLab;
let before: Listing;
let checkpoint: string;

beforeAll(async () => {
  lab = await startSnapshotLab();
  await lab.add("main");
  await lab.python("main", "nasty-tree.py");
  before = await list("main");
  checkpoint = join(lab.directory, "checkpoint");
  await lab.checkpoint("main", checkpoint);
}, 60_000);
afterAll(() => lab[Symbol.asyncDispose]());

async function list(name: string): Promise<Listing> {
  return JSON.parse(await lab.python(name, "list-tree.py")) as Listing;
}

/** The digest of the layer of a checkpoint's folder, which is read to its end. */
async function digestOf(folder: string, name = "main"): Promise<string> {
  await using read = await readCheckpoint(folder, name, LIMITS, signal);
  const tar = summing(writeLayer(read, LIMITS).chunks(signal));
  for await (const _ of tar.chunks);
  return tar.sum().digest;
}

/** A listing without what no archive of gVisor keeps. */
function kept(listing: Listing): Listing {
  const entries = Object.entries(listing).filter(([path]) => path !== "/t/socket");
  return Object.fromEntries(
    entries.map(([path, { nanoseconds, ...each }]) => {
      const lost = path === "/t/xattr-lost" ? { "xattr user.empty": undefined, "xattr user.bytes": undefined } : {};
      const seconds = Math.min(9_223_372_036, Number(each["seconds"]) + (Number(nanoseconds) >= 500_000_000 ? 1 : 0));
      return [path, structuredClone({ ...each, seconds, ...lost })];
    }),
  );
}

describe("layers of real containers", () => {
  test("go through store and check, and restore every path as it was", async () => {
    await using read = await readCheckpoint(checkpoint, "main", LIMITS, signal);
    const layer = writeLayer(read, LIMITS);
    const stored = join(lab.directory, "layer.tar.zst");
    const packed = packLayer(layer.chunks(signal));
    await pipeline(packed.chunks, createWriteStream(stored));
    const restored = join(lab.directory, "layer.tar");
    const checked = checkLayer(unpackLayer(createReadStream(stored), packed.sums()), LIMITS);
    await pipeline(checked.chunks, createWriteStream(restored));
    const { tarBytes, entries, largest } = layer.facts;
    expect(checked.facts()).toEqual({ tarBytes, entries, largest });
    expect(layer.facts.warnings.map(({ code, count }) => [code, count])).toEqual([
      ["HolesFilled", 3],
      ["TimesOutOfRange", 1],
    ]);
    await lab.add("restored", restored);
    const after = await list("restored");
    expect(Object.keys(before).length).toBeGreaterThan(8000);
    expect(kept(after)).toEqual(kept(before));
    const again = join(lab.directory, "again");
    await lab.checkpoint("restored", again);
    expect(await digestOf(again, "restored")).toBe(packed.sums().tarDigest);
  }, 60_000);

  test("are equal bytes whether they come from a checkpoint or from gVisor's own archive", async () => {
    const raw = join(lab.directory, "raw.tar");
    await lab.tar("main", raw);
    const checked = checkLayer(createReadStream(raw), LIMITS);
    for await (const _ of checked.chunks);
    await using sorted = await mergeLayers([raw], LIMITS, signal);
    expect(checked.facts().entries).toBe(sorted.facts.entries);
    const tar = summing(sorted.chunks(signal));
    for await (const _ of tar.chunks);
    expect(tar.sum().digest).toBe(await digestOf(checkpoint));
  });

  test("of two containers, merged, restore what one after the other would have done", async () => {
    const steps = [
      "mkdir /m /m/gone /m/kept; echo 1 >/m/a; ln /m/a /m/b; echo 1 >/m/kept/x; rm -r /usr/share/doc; rm /etc/issue",
      "rm -r /m/gone; echo 2 >/m/a; rm /m/kept/x; mkdir /usr/share/doc; touch /usr/share/doc/new; rm /etc/shells",
    ];
    await lab.add("one");
    await lab.exec("one", "sh", "-c", steps[0] ?? "");
    const lower = await layerFile("one");
    await lab.add("two", lower);
    await lab.exec("two", "sh", "-c", steps[1] ?? "");
    const whole = await layerFile("two");
    await using merged = await mergeLayers([lower, whole], LIMITS, signal);
    const path = join(lab.directory, "merged.tar");
    await pipeline(merged.chunks(signal), createWriteStream(path));
    await lab.add("three", path);
    const found = await lab.exec(
      "three",
      "sh",
      "-c",
      "cd /m; find . | sort; cat a b; ls /usr/share/doc; ls /etc/issue /etc/shells 2>&1 | wc -l",
    );
    expect(found).toBe(
      await lab.exec(
        "two",
        "sh",
        "-c",
        "cd /m; find . | sort; cat a b; ls /usr/share/doc; ls /etc/issue /etc/shells 2>&1 | wc -l",
      ),
    );
    expect(found).toContain("new\n2\n");
  }, 30_000);

  async function layerFile(name: string): Promise<string> {
    const folder = join(lab.directory, `checkpoint-${name}`);
    await lab.checkpoint(name, folder);
    await using read = await readCheckpoint(folder, name, LIMITS, signal);
    await pipeline(writeLayer(read, LIMITS).chunks(signal), createWriteStream(`${folder}.tar`));
    return `${folder}.tar`;
  }

  test("are refused before they are written when a sandbox has made a file of 7 EiB, which does not harm it", async () => {
    await lab.add("sparse");
    await lab.exec("sparse", "truncate", "--size=7E", "/big");
    const folder = join(lab.directory, "sparse");
    await lab.checkpoint("sparse", folder);
    await using read = await readCheckpoint(folder, "sparse", LIMITS, signal);
    expect(() => writeLayer(read, LIMITS)).toThrow(
      'the layer would take 7.0 EiB, more than the 512.0 MiB allowed; largest is "/big" (7.0 EiB, mostly holes)',
    );
    expect(await lab.exec("sparse", "echo", "alive")).toBe("alive\n");
  });
});

describe("checkpoints of real containers", () => {
  const FILES = ["fscheckpoint.pb", "multitar.img", "pages_meta.img", "pages.img"];

  test.each(FILES)("with a cut %s are refused", async (file) => {
    const folder = await damaged(file);
    const { length } = await readFile(join(folder, file));
    for (const bytes of [length - 1, length - 512, Math.floor(length / 2), 1, 0].filter((each) => each >= 0)) {
      await truncate(join(folder, file), bytes);
      await expect(digestOf(folder)).rejects.toThrow(ArchiveFault);
    }
  });

  test.each(FILES)("with flipped bytes in %s are refused or give another digest, or mean the same", async (file) => {
    const folder = await damaged(file);
    const good = await readFile(join(folder, file));
    const expected = await digestOf(checkpoint);
    const outcomes = new Set<string>();
    for (let step = 0; step < 12; step++) {
      const bytes = Buffer.from(good);
      const at = Math.floor((good.length * step) / 12);
      bytes[at] = (bytes[at] ?? 0) ^ 0x41;
      await writeFile(join(folder, file), bytes);
      const outcome = await digestOf(folder).catch((error: unknown) => error);
      if (typeof outcome === "string") outcomes.add(outcome === expected ? "same" : "other");
      else {
        expect(outcome).toBeInstanceOf(ArchiveFault);
        outcomes.add("refused");
      }
    }
    expect(outcomes.has(file === "pages.img" ? "other" : "refused")).toBe(true);
  });

  test("of another container, or none, say so", async () => {
    await expect(digestOf(checkpoint, "other")).rejects.toThrow('no root of a container "other"');
  });

  async function damaged(file: string): Promise<string> {
    const folder = join(lab.directory, `damaged-${file}-${crypto.randomUUID()}`);
    await cp(checkpoint, folder, { recursive: true });
    return folder;
  }
});
