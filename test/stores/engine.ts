import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import { createLayerCache } from "#mounter/node/cache/layer-cache.ts";
import { COLLECT_PATIENCE, collectSnapshots } from "#mounter/node/snapshot/collect-snapshots.ts";
import { fetchSnapshot } from "#mounter/node/snapshot/fetch-snapshot.ts";
import { findSnapshot } from "#mounter/node/snapshot/find-snapshot.ts";
import type { ObjectStore } from "#mounter/storage/port.ts";
import { digestOf } from "../mounter/sample-snapshot.ts";
import type { Place } from "./killed.ts";
import { sample } from "./samples.ts";
import { openTestStore } from "./servers.ts";

/** What `engine-process.ts` is asked to do. */
export type EngineErrand = Omit<Place, "showsUploads"> &
  (
    | { readonly kind: "publish"; readonly writeId: string; readonly second: number; readonly sizeBytes: number }
    | { readonly kind: "fetch"; readonly dir: string; readonly partBytes: number }
  );

interface Said {
  readonly phase: string;
  readonly bytesDone?: number;
  readonly path?: string;
  readonly grownBytes?: number;
}

const SIZE = 12 << 20;
const MOST_GROWN = 128 << 20;
const call = { signal: new AbortController().signal };
const place = { namespace: "team", name: "work" };

/** Runs a process until it is done, or kills it as soon as it says what is waited for. */
async function run(errand: EngineErrand, killAt?: (said: Said) => boolean): Promise<Said | undefined> {
  const program = join(import.meta.dirname, "engine-process.ts");
  const child = spawn(process.execPath, [program, JSON.stringify(errand)], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  let last: Said | undefined;
  for await (const line of createInterface(child.stdout)) {
    last = JSON.parse(line) as Said;
    if (killAt?.(last) === true) child.kill("SIGKILL");
  }
  await ended;
  return last;
}

/** Snapshots on a real store, by processes that are killed. */
export function checkEngine(placeOf: () => Place): void {
  const writeIdNow = async (store: ObjectStore): Promise<string | undefined> => {
    const found = await findSnapshot(store, place, call);
    return found.kind === "manifest" ? found.manifest.writeId : undefined;
  };

  test("a writer killed anywhere leaves the old snapshot or the new one, and finishes when it comes again", async () => {
    const { showsUploads, ...at } = placeOf();
    const store = await openTestStore(at.url, at);
    const folder = await mkdtemp(join(tmpdir(), "atoll-engine-"));
    const publish = { kind: "publish", ...at, sizeBytes: SIZE } as const;
    const kills: readonly ((said: Said) => boolean)[] = [
      ({ phase, bytesDone = 0 }) => phase === "Uploading" && bytesDone > 0,
      ({ phase, bytesDone = 0 }) => phase === "Verifying" && bytesDone > SIZE / 2,
      ({ phase }) => phase === "Publishing",
    ];
    await run({ ...publish, writeId: "w0", second: 0 });
    for (const [index, kill] of kills.entries()) {
      const second = index + 1;
      const writeId = `w${second}`;
      await run({ ...publish, writeId, second }, kill);
      expect([`w${index}`, writeId]).toContain(await writeIdNow(store));
      expect(await run({ ...publish, writeId, second })).toMatchObject({ phase: "Done", kind: "published" });
      expect(await run({ ...publish, writeId, second })).toMatchObject({ phase: "Done", kind: "published" });
      const dir = join(folder, writeId);
      const cache = await createLayerCache({ dir, maxBytes: 2 ** 40, reserveBytes: 0 }, { store, clock: systemClock });
      const { manifest, layers } = await fetchSnapshot({ store, cache }, place, call);
      expect(manifest?.writeId).toBe(writeId);
      expect(digestOf(await readFile(layers[0]?.path ?? ""))).toBe(digestOf(sample(SIZE, second + 1)));
    }
    const collected = await collectSnapshots(
      store,
      { namespace: "team", ...COLLECT_PATIENCE, uploadMs: -60_000 },
      call,
    );
    if (showsUploads) expect(collected.abortedUploads).toBeGreaterThan(0);
    expect(collected).toMatchObject({ removedLayers: 0, unreadable: [] });
    expect(collected.notedLayers).toBeGreaterThanOrEqual(3);
    expect(await collectSnapshots(store, { namespace: "team", ...COLLECT_PATIENCE }, call)).toMatchObject({
      notedLayers: 0,
    });
    store.close();
    await rm(folder, { recursive: true, force: true });
  }, 90_000);

  test("a reader that is killed goes on where it was, with bounded memory", async () => {
    const { showsUploads: _, ...at } = placeOf();
    const folder = await mkdtemp(join(tmpdir(), "atoll-engine-"));
    await run({ kind: "publish", ...at, sizeBytes: 5 * SIZE, writeId: "w9", second: 9 });
    const fetching = { kind: "fetch", ...at, dir: join(folder, "cache"), partBytes: 1 << 20 } as const;
    await run(fetching, ({ bytesDone = 0 }) => bytesDone >= SIZE);
    let first: number | undefined;
    const done = await run(fetching, ({ bytesDone }) => {
      first ??= bytesDone;
      return false;
    });
    expect(first).toBeGreaterThanOrEqual(SIZE);
    expect(digestOf(await readFile(done?.path ?? ""))).toBe(digestOf(sample(5 * SIZE, 10)));
    expect(done?.grownBytes).toBeLessThan(MOST_GROWN);
    await rm(folder, { recursive: true, force: true });
  }, 60_000);
}
