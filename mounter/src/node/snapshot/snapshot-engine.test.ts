import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { createInterleaving, type Interleaving } from "../../../../test/mounter/interleaving.ts";
import {
  brokenLayers,
  createModelObjects,
  createModelStore,
  type ModelObjects,
} from "../../../../test/mounter/model-store.ts";
import { digestOf, sampleRequest } from "../../../../test/mounter/sample-snapshot.ts";
import { isSnapshotFault, SnapshotFault } from "../../domain/snapshot-fault.ts";
import type { ObjectStore } from "../../storage/port.ts";
import { isStoreError, StoreError } from "../../storage/store-error.ts";
import { COLLECT_PATIENCE, collectSnapshots } from "./collect-snapshots.ts";
import { fetchSnapshot, type FetchPorts } from "./fetch-snapshot.ts";
import { findSnapshot } from "./find-snapshot.ts";
import { publishSnapshot, SETTLE_MS, type Published } from "./publish-snapshot.ts";
import { removeSnapshot } from "./remove-snapshot.ts";

const call = { signal: new AbortController().signal };
const namespace = "team";
const NAMES = ["work", "base"];
const manifestOf = (bytes: Uint8Array): SnapshotManifest =>
  SnapshotManifest.parse(JSON.parse(new TextDecoder().decode(bytes)));

/** All that happens to the names of one namespace. */
interface World {
  readonly model: ModelObjects;
  readonly turns: Interleaving;
  attempts: number;
  removals: number;
}

function storeOf(world: World, lastStep?: number): { readonly store: ObjectStore; readonly killed: Promise<void> } {
  const { step, killed } = world.turns.client(lastStep);
  return { store: createModelStore(world.model, step), killed };
}

/** A record: it is tried again after each kill, upon what it finds, until it knows its end. */
async function write(world: World, id: number): Promise<void> {
  const { random, clock } = world.turns;
  await clock.sleep(random(1 + id * SETTLE_MS));
  const name = NAMES[random(NAMES.length)] ?? "work";
  let isWhole = random(3) === 0;
  for (let left = 1 + random(3); left >= 0; left -= 1) {
    const { store, killed } = storeOf(world, left > 0 ? 1 + random(60) : undefined);
    const work = async (): Promise<Published | SnapshotFault | StoreError> => {
      try {
        const below = isWhole ? [] : await layersOf(store, NAMES[random(NAMES.length)] ?? "work");
        const bytes = new TextEncoder().encode(`${id} ${(world.attempts += 1)}`);
        const request = sampleRequest({ name, writeId: `w${id}`, second: id, bytes, below });
        const newAttempt = (): string => `t${(world.attempts += 1)}`;
        return await publishSnapshot({ store, clock, newAttempt }, request, call);
      } catch (error) {
        if (error instanceof SnapshotFault || isStoreError(error, "unavailable")) return error;
        throw error;
      }
    };
    const end = await Promise.race([work(), killed.then(() => "killed" as const)]);
    if (end === "killed" || end instanceof StoreError || isSnapshotFault(end, "unsure")) continue;
    if (end instanceof SnapshotFault) {
      expect(end.code).toBe("gone");
      isWhole = true;
      left += 1;
    } else {
      if (end.kind === "published") expect(end.manifest.writeId).toBe(`w${id}`);
      else expect(Number(end.by.writeId.slice(1))).toBeGreaterThan(id);
      return;
    }
  }
}

async function layersOf(store: ObjectStore, name: string): Promise<SnapshotManifest["layers"]> {
  try {
    const found = await findSnapshot(store, { namespace, name }, call);
    return found.kind === "manifest" ? found.manifest.layers.slice(-3) : [];
  } catch (error) {
    if (error instanceof SnapshotFault && error.code === "absent") return [];
    throw error;
  }
}

/** Reads layers straight from the store, and says what a cache would say. */
function bareCache(store: ObjectStore): FetchPorts["cache"] {
  return {
    async hold(_, { key, bytes, digest = "" }) {
      const object = await store.stat(key, call);
      for await (const chunk of store.read(object, { offset: 0, sizeBytes: bytes }, call))
        if (digestOf(chunk) !== digest) throw new SnapshotFault("damaged", `${key} is another`);
      return { path: key, digest, bytes, release: () => undefined };
    },
    recheck: async () => true,
  };
}

async function read(world: World): Promise<void> {
  const { store } = storeOf(world);
  for (let round = 0; round < 4; round += 1) {
    const name = NAMES[world.turns.random(NAMES.length)] ?? "work";
    try {
      const { manifest, layers } = await fetchSnapshot({ store, cache: bareCache(store) }, { namespace, name }, call);
      expect(layers.map(({ digest }) => digest)).toEqual(manifest?.layers.map(({ digest }) => digest));
    } catch (error) {
      if (!(error instanceof SnapshotFault)) throw error;
      expect(["absent", "changing"]).toContain(error.code);
    }
  }
}

/** One after the other, as the lease makes them; killed now and then. */
async function collect(world: World, runs: number): Promise<void> {
  for (let run = 0; run < runs; run += 1) {
    const { store, killed } = storeOf(world, world.turns.random(3) === 0 ? 1 + world.turns.random(80) : undefined);
    await Promise.race([collectSnapshots(store, { namespace, ...COLLECT_PATIENCE }, call), killed]);
    await world.turns.clock.sleep(world.turns.random(2 * COLLECT_PATIENCE.graceMs));
  }
}

async function remove(world: World): Promise<void> {
  await world.turns.clock.sleep(world.turns.random(COLLECT_PATIENCE.graceMs));
  const name = NAMES[world.turns.random(NAMES.length)] ?? "work";
  const { store } = storeOf(world);
  if ((await removeSnapshot(store, { namespace, name, writeId: `w${world.turns.random(6)}` }, call)) === "removed")
    world.removals += 1;
}

function createWorld(seed: number, leapOneIn: number): World {
  const model = createModelObjects();
  const turns = createInterleaving(model, seed, { stepMs: 1000, leapMs: SETTLE_MS * 1.5, leapOneIn });
  return { model, turns, attempts: 0, removals: 0 };
}

describe("publish, fetch, collect and remove at once", () => {
  test("a manifest always names layers that are there with their digests, and no older write replaces a newer one", async () => {
    const seen = { published: 0, removedLayers: 0, stacked: 0 };
    const worlds = fc.tuple(fc.integer(), fc.constantFrom(2, 5, 20, 100));
    const check = async ([seed, leapOneIn]: readonly [number, number]): Promise<void> => {
      const world = createWorld(seed, leapOneIn);
      const { model, turns } = world;
      const newest = new Map<string, { readonly createdAt: string; readonly removals: number }>();
      const uploaded = new Set<string>();
      const work = [
        ...Array.from({ length: 6 }, (_, id) => write(world, id)),
        read(world),
        read(world),
        collect(world, 12),
        remove(world),
      ];
      let state = "";
      await turns.run(work, () => {
        const now = `${model.versions} ${model.objects.size}`;
        if (state === now) return;
        state = now;
        expect(brokenLayers(model, (bytes) => manifestOf(bytes).layers)).toEqual([]);
        for (const { key, bytes } of model.objects.values()) {
          if (key.endsWith(".zst")) uploaded.add(key);
          if (!key.endsWith(".json")) continue;
          const { createdAt, layers } = manifestOf(bytes);
          const before = newest.get(key);
          if (before?.removals === world.removals) expect(createdAt >= before.createdAt).toBe(true);
          newest.set(key, { createdAt, removals: world.removals });
          seen.stacked = Math.max(seen.stacked, layers.length);
        }
      });
      seen.published += newest.size;
      await checkLeftovers(world);
      seen.removedLayers += [...uploaded].filter((key) => !model.objects.has(key)).length;
    };
    await fc.assert(fc.asyncProperty(worlds, check), { numRuns: 300 });
    // The test is worth nothing when none of this ever happens.
    expect(seen.published).toBeGreaterThan(200);
    expect(seen.removedLayers).toBeGreaterThan(200);
    expect(seen.stacked).toBeGreaterThan(2);
  }, 60_000);
});

/** When all have come to rest, what is left is what the manifests name. */
async function checkLeftovers({ model }: World): Promise<void> {
  const store = createModelStore(model);
  for (let round = 0; round < 3; round += 1) {
    await collectSnapshots(store, { namespace, ...COLLECT_PATIENCE }, call);
    model.nowMs += COLLECT_PATIENCE.graceMs + 1;
  }
  const keys = [...model.objects.keys()];
  const manifests = [...model.objects.values()].filter(({ key }) => key.endsWith(".json"));
  const named = new Set(manifests.flatMap(({ bytes }) => manifestOf(bytes).layers.map(({ key }) => key)));
  expect(new Set(keys.filter((key) => key.endsWith(".zst")))).toEqual(named);
  expect(keys.filter((key) => key.endsWith(".unused"))).toEqual([]);
}
