import { describe, expect, test } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createModelObjects, createModelStore } from "../../../../test/mounter/model-store.ts";
import { sampleRequest } from "../../../../test/mounter/sample-snapshot.ts";
import { COLLECT_PATIENCE, collectSnapshots } from "./collect-snapshots.ts";
import { publishSnapshot } from "./publish-snapshot.ts";
import { removeSnapshot } from "./remove-snapshot.ts";

const call = { signal: new AbortController().signal };

describe("collectSnapshots()", () => {
  test("keeps a layer that is in use though no manifest names it, so that the next one may stand on it", async () => {
    const model = createModelObjects();
    const store = createModelStore(model);
    const ports = { store, clock: createManualClock(), newAttempt: () => "t1" };
    const bytes = new TextEncoder().encode("one");
    const written = await publishSnapshot(ports, sampleRequest({ writeId: "w1", bytes }), call);
    if (written.kind !== "published") throw new Error("It is not published");
    const below = written.manifest.layers;
    await removeSnapshot(store, { namespace: "team", name: "work", writeId: "w1" }, call);
    const pass = async (inUse: ReadonlySet<string>) => {
      model.nowMs += COLLECT_PATIENCE.graceMs + 1;
      return collectSnapshots(store, { namespace: "team", ...COLLECT_PATIENCE, inUse }, call);
    };
    // Noted before it was known to be in use: the note goes.
    expect(await pass(new Set())).toMatchObject({ notedLayers: 1, removedLayers: 0 });
    const inUse = new Set(below.map(({ key }) => key));
    for (let times = 0; times < 3; times += 1)
      expect(await pass(inUse)).toMatchObject({ notedLayers: 0, removedLayers: 0 });
    const next = sampleRequest({ writeId: "w2", second: 1, bytes, below });
    expect(await publishSnapshot(ports, next, call)).toMatchObject({ kind: "published", isNew: true });
    await removeSnapshot(store, { namespace: "team", name: "work", writeId: "w2" }, call);
    await pass(new Set());
    expect(await pass(new Set())).toMatchObject({ removedLayers: 2 });
  });
});
