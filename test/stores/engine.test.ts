import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import { createLayerCache } from "#mounter/node/cache/layer-cache.ts";
import { digestOf } from "../mounter/sample-snapshot.ts";
import { checkEngine } from "./engine.ts";
import { sample } from "./samples.ts";
import { openTestStore, SMALL_PARTS, startServer, type StoreServer } from "./servers.ts";

const call = { signal: new AbortController().signal };

let folder = "";
let server: StoreServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-engine-store-"));
  server = await startServer("s3");
}, 60_000);
afterAll(async () => {
  await server?.end();
  await rm(folder, { recursive: true, force: true });
});

describe("snapshots in a folder", () => {
  const credentials = { kind: "none" } as const;
  checkEngine(() => ({ url: `file://${folder}`, credentials, rules: SMALL_PARTS.folder, showsUploads: true }));
});

test("a disk that fills under a download is a fault of the node, and harms nothing else", async () => {
  const small = join(folder, "small");
  await mkdir(small);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "none", small]);
  try {
    const store = await openTestStore(`file://${folder}/layers`, { credentials: { kind: "none" } });
    const config = { dir: join(small, "cache"), maxBytes: 2 ** 40, reserveBytes: 0, partBytes: 1 << 18 };
    const cache = await createLayerCache(config, { store, clock: systemClock });
    const wanted = async (seed: number, sizeBytes: number) => {
      const bytes = sample(sizeBytes, seed);
      const { key } = await store.put(`layer-${seed}`, bytes, { kind: "always" }, call);
      return { key, digest: digestOf(bytes), bytes: sizeBytes };
    };
    const held = await cache.hold("team", await wanted(1, 1 << 20), call);
    (await cache.hold("team", await wanted(2, 1 << 20), call)).release();
    const fillWith = (name: string) => () => {
      if (!existsSync(join(small, name))) writeFileSync(join(small, name), sample(1 << 20));
    };
    // Others write while the download is under way: the layer that nobody holds goes for it.
    const third = await wanted(3, 5 << 18);
    (await cache.hold("team", third, { ...call, onProgress: fillWith("other") })).release();
    expect(cache.usage().bytes).toBe((1 << 20) + (5 << 18));
    const refused = { name: "SnapshotFault", code: "full" };
    await expect(cache.hold("team", await wanted(4, 9 << 18), call)).rejects.toMatchObject(refused);
    expect(cache.usage().bytes).toBe((1 << 20) + (5 << 18));
    // Now there is nothing that could go.
    const fourth = cache.hold("team", await wanted(4, 7 << 18), { ...call, onProgress: fillWith("more") });
    await expect(fourth).rejects.toMatchObject({ ...refused, cause: { code: "ENOSPC" } });
    expect(cache.usage()).toMatchObject({ bytes: 1 << 20, promisedBytes: 0 });
    expect(digestOf(await readFile(held.path))).toBe((await wanted(1, 1 << 20)).digest);
    store.close();
  } finally {
    execFileSync("umount", [small]);
  }
});

describe("snapshots on an S3 server", () => {
  checkEngine(() => {
    const { credentials } = server;
    return { url: server.url(server.origin, "engine"), credentials, rules: SMALL_PARTS.s3, showsUploads: true };
  });
});
