import { describe, expect, test } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createModelObjects, createModelStore, type Step } from "../../../../test/mounter/model-store.ts";
import { sampleRequest, type SampleWrite } from "../../../../test/mounter/sample-snapshot.ts";
import type { ObjectStore, StoreCall } from "../../storage/port.ts";
import { StoreError } from "../../storage/store-error.ts";
import { COLLECT_PATIENCE, collectSnapshots } from "./collect-snapshots.ts";
import { findSnapshot } from "./find-snapshot.ts";
import { publishSnapshot, type PublishCall } from "./publish-snapshot.ts";
import { removeSnapshot } from "./remove-snapshot.ts";

const call = { signal: new AbortController().signal };
const place = { namespace: "team", name: "work" };

function createEngine(options: { readonly readsBack?: boolean } = {}) {
  const model = createModelObjects();
  const hook: { step: Step } = { step: async () => undefined };
  const store = createModelStore(model, (when, what) => hook.step(when, what), options);
  let attempts = 0;
  const clock = createManualClock();
  const ports = { store, clock, newAttempt: () => `t${(attempts += 1)}` };
  const publish = (write: SampleWrite, options: Partial<PublishCall> = {}) =>
    publishSnapshot(ports, sampleRequest(write), { ...call, ...options });
  const collect = () => collectSnapshots(store, { namespace: "team", ...COLLECT_PATIENCE }, call);
  const pass = (): void => void (model.nowMs += COLLECT_PATIENCE.graceMs + 1);
  const keys = (): string[] =>
    [...model.objects.keys()].map((key) => key.slice("rootfssnapshots/team/".length)).toSorted();
  const find = async () => {
    const found = await findSnapshot(store, place, call);
    return found.kind === "manifest" ? found.manifest : undefined;
  };
  return { model, hook, store, clock, publish, collect, pass, keys, find };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("publishSnapshot()", () => {
  test("puts the manifest last; repeated, it finds its own work and uploads nothing", async () => {
    const { publish, keys } = createEngine();
    const phases: string[] = [];
    const onProgress: PublishCall["onProgress"] = ({ phase }) => void phases.push(phase);
    const first = await publish({ writeId: "w1", bytes: bytes("one") }, { onProgress });
    expect(first).toMatchObject({ kind: "published", isNew: true, key: "rootfssnapshots/team/work.json" });
    expect(new Set(phases)).toEqual(new Set(["Uploading", "Verifying"]));
    const again = await publish({ writeId: "w1", bytes: bytes("other") });
    expect(again).toMatchObject({ kind: "published", isNew: false });
    expect(keys()).toEqual(["work.json", "work.w1-t1.tar.zst"]);
  });

  test("says with its progress what the store says instead of going on, wherever that is", async () => {
    const model = createModelObjects();
    const store = createModelStore(model);
    const trouble = (call: StoreCall, what: string): void =>
      call.onTrouble?.(new StoreError("unavailable", `Cannot ${what}`));
    const troubled: ObjectStore = {
      ...store,
      get: (key, most, call) => (trouble(call, "get"), store.get(key, most, call)),
      upload: (key, source, options, call) => (trouble(call, "upload"), store.upload(key, source, options, call)),
      stat: (key, call) => (trouble(call, "stat"), store.stat(key, call)),
      put: (key, bytes, condition, call) => (trouble(call, "put"), store.put(key, bytes, condition, call)),
    };
    const said: string[] = [];
    const onProgress: PublishCall["onProgress"] = ({ phase, bytesDone, message = "" }) =>
      void said.push(`${phase} ${bytesDone} ${message}`);
    const ports = { store: troubled, clock: createManualClock(), newAttempt: () => "t1" };
    await publishSnapshot(ports, sampleRequest({ writeId: "w1", bytes: bytes("one") }), { ...call, onProgress });
    expect(said).toEqual([
      "Uploading 0 Cannot get.",
      "Uploading 0 Cannot upload.",
      "Uploading 3 ",
      "Uploading 3 Cannot stat.",
      "Verifying 3 ",
      "Verifying 3 Cannot get.",
      "Verifying 3 Cannot put.",
    ]);
  });

  test("an older write leaves a newer one, and nothing of itself", async () => {
    const { publish, keys, hook } = createEngine();
    await publish({ writeId: "new", second: 2, bytes: bytes("new") });
    expect(await publish({ writeId: "old", second: 1, bytes: bytes("old") })).toMatchObject({ kind: "superseded" });
    // One that appears while the layer is under way.
    let isFirst = true;
    hook.step = async (when, what) => {
      if (when !== "after" || !what.startsWith("upload") || !isFirst) return;
      isFirst = false;
      await publish({ writeId: "newest", second: 9, bytes: bytes("newest") });
    };
    expect(await publish({ writeId: "mid", second: 5, bytes: bytes("mid") })).toMatchObject({
      kind: "superseded",
      by: { writeId: "newest" },
    });
    expect(keys().filter((key) => key.includes("mid"))).toEqual([]);
  });

  test.each(["upload", "stat", "read", "beforePublish"])(
    "ended during %s leaves the old snapshot and nothing else",
    async (what) => {
      const { publish, keys, find, hook } = createEngine({ readsBack: what === "read" });
      await publish({ writeId: "w1", bytes: bytes("one") });
      const before = keys();
      const end = new AbortController();
      const stop = (): void => end.abort(new Error("enough"));
      hook.step = async (when, step) => {
        if (when === "before" && step.startsWith(what)) stop();
        if (step.startsWith("remove")) return;
        end.signal.throwIfAborted();
      };
      const beforePublish = async (signal: AbortSignal): Promise<undefined> => {
        if (what === "beforePublish") stop();
        signal.throwIfAborted();
      };
      const ending = publish({ writeId: "w2", second: 1, bytes: bytes("two") }, { signal: end.signal, beforePublish });
      await expect(ending).rejects.toThrow("enough");
      hook.step = async () => undefined;
      expect(keys()).toEqual(before);
      expect(await find()).toMatchObject({ writeId: "w1" });
    },
  );

  test("sends no manifest after the window it was given, and says when it does not know whether one arrived", async () => {
    const { publish, keys, hook, clock, find } = createEngine();
    const beforePublish = async () => ({ untilMs: clock.now() + 1000 });
    const slowAt = (step: string, when: string): void => {
      hook.step = async (now, what) => {
        if (now !== when || !what.startsWith(step) || !what.endsWith(".json")) return;
        hook.step = async () => undefined;
        await clock.advance(1001);
        if (when === "after") throw new StoreError("unavailable", "No answer.");
      };
    };
    // The read of what stands takes too long: nothing was sent, nothing is left.
    let isAsked = false;
    const late = publish(
      { writeId: "w1", bytes: bytes("one") },
      {
        beforePublish: async () => {
          isAsked = true;
          slowAt("get", "before");
          return beforePublish();
        },
      },
    );
    await expect(late).rejects.toMatchObject({ name: "StoreError", kind: "unavailable" });
    expect([isAsked, keys()]).toEqual([true, []]);
    // The answer to the manifest takes too long: it stands, and nobody may say that it does not.
    slowAt("put", "after");
    const unsure = publish({ writeId: "w1", bytes: bytes("one") }, { beforePublish });
    await expect(unsure).rejects.toMatchObject({ name: "SnapshotFault", code: "unsure" });
    expect(await find()).toMatchObject({ writeId: "w1" });
  });

  test.each([
    ["another size", { sizeBytes: 2 }, []],
    // Somebody else's is not removed.
    ["another version", { version: "another" }, ["work.w1-t1.tar.zst"]],
    ["other bytes, read back", { bytes: bytes("oNe") }, []],
  ])("what the store did not keep as it was sent is not published: %s", async (what, kept, left) => {
    const readsBack = what.endsWith("read back");
    const { publish, keys, model, hook } = createEngine({ readsBack });
    hook.step = async (when, what) => {
      const key = what.slice("upload ".length);
      const object = model.objects.get(key);
      if (when === "after" && what.startsWith("upload") && object !== undefined)
        model.objects.set(key, { ...object, ...kept });
    };
    await expect(publish({ writeId: "w1", bytes: bytes("one") })).rejects.toMatchObject({ code: "damaged" });
    expect(keys()).toEqual(left);
  });

  test("stands on no layer that is noted as unused or gone", async () => {
    const { publish, collect, pass, keys, find, store } = createEngine();
    await publish({ writeId: "w1", bytes: bytes("one") });
    const below = (await find())?.layers ?? [];
    expect(await publish({ writeId: "w2", second: 1, bytes: bytes("two"), below })).toMatchObject({
      kind: "published",
    });
    expect((await find())?.layers).toHaveLength(2);
    await publish({ writeId: "w3", second: 2, bytes: bytes("three") });
    pass();
    await collect();
    for (const round of [1, 2]) {
      const late = publish({ writeId: "w4", second: 3, bytes: bytes("four"), below });
      await expect(late, `round ${round}`).rejects.toMatchObject({ name: "SnapshotFault", code: "gone" });
      pass();
      await collect();
    }
    expect(keys()).toEqual(["collected", "work.json", "work.w3-t3.tar.zst"]);
    expect(await removeSnapshot(store, { ...place, writeId: "w1" }, call)).toBe("other");
    expect(await removeSnapshot(store, { ...place, writeId: "w3" }, call)).toBe("removed");
    expect(await removeSnapshot(store, { ...place, writeId: "w3" }, call)).toBe("absent");
  });
});

describe("collectSnapshots()", () => {
  test("removes what is unused a grace period after its note, not before", async () => {
    const { publish, collect, pass, model } = createEngine();
    await publish({ writeId: "w1", bytes: bytes("one") });
    await publish({ writeId: "w2", second: 1, bytes: bytes("two") });
    pass();
    expect(await collect()).toMatchObject({ notedLayers: 1, removedLayers: 0 });
    model.nowMs += COLLECT_PATIENCE.graceMs;
    expect(await collect()).toMatchObject({ notedLayers: 0, removedLayers: 0 });
    model.nowMs += 1;
    expect(await collect()).toMatchObject({ removedLayers: 1, removedBytes: 3 });
  });

  test("looks again before it removes: a manifest that came meanwhile keeps its layers", async () => {
    const { publish, collect, pass, find, hook, store, model } = createEngine();
    await publish({ writeId: "w1", bytes: bytes("one") });
    const old = model.objects.get("rootfssnapshots/team/work.json");
    await publish({ writeId: "w2", second: 1, bytes: bytes("two") });
    pass();
    await collect();
    pass();
    let lists = 0;
    hook.step = async (when, what) => {
      if (when !== "before" || !what.startsWith("list") || (lists += 1) !== 2) return;
      hook.step = async () => undefined;
      if (old !== undefined) await store.put(old.key, old.bytes, { kind: "always" }, call);
    };
    expect(await collect()).toMatchObject({ removedLayers: 0 });
    expect(await find()).toMatchObject({ writeId: "w1" });
  });

  test("removes nothing that a manifest may name which does not tell", async () => {
    const { publish, collect, pass, store } = createEngine();
    await publish({ writeId: "w1", bytes: bytes("one") });
    await publish({ writeId: "w2", second: 1, bytes: bytes("two") });
    pass();
    await collect();
    pass();
    for (const hostile of ["{", '{"formatVersion":2}', '{"formatVersion":2,"layers":["x"]}', "x".repeat(2 << 20)]) {
      await store.put("rootfssnapshots/team/other.json", bytes(hostile), { kind: "always" }, call);
      expect(await collect()).toMatchObject({
        removedLayers: 0,
        unreadable: [{ key: "rootfssnapshots/team/other.json" }],
      });
    }
    await store.remove("rootfssnapshots/team/other.json", {}, call);
    expect(await collect()).toMatchObject({ removedLayers: 1 });
  });

  test("goes on with what a manifest cannot name that does not tell: what came long after it", async () => {
    const { model, publish, collect, pass, store, keys } = createEngine();
    await publish({ writeId: "w1", bytes: bytes("one") });
    await store.put("rootfssnapshots/team/other.json", bytes("{"), { kind: "always" }, call);
    model.nowMs += COLLECT_PATIENCE.uploadMs + 1;
    for (const [second, writeId] of ["w2", "w3"].entries())
      await publish({ writeId, second: second + 1, bytes: bytes(writeId) });
    for (let round = 0; round < 3; round += 1, pass())
      expect(await collect()).toMatchObject({
        unreadable: [{ key: "rootfssnapshots/team/other.json" }],
        removedLayers: round === 1 ? 1 : 0,
      });
    expect(keys()).toEqual(["collected", "other.json", "work.json", "work.w1-t1.tar.zst", "work.w3-t3.tar.zst"]);
    // Written anew, it may name what came meanwhile.
    await publish({ writeId: "w4", second: 4, bytes: bytes("four") });
    await store.put("rootfssnapshots/team/other.json", bytes("{}"), { kind: "always" }, call);
    for (let round = 0; round < 3; round += 1, pass()) expect(await collect()).toMatchObject({ removedLayers: 0 });
  });

  test("one that does not tell and appears after the first look keeps what it may name as well", async () => {
    const { publish, collect, pass, store, hook } = createEngine();
    await publish({ writeId: "w1", bytes: bytes("one") });
    await publish({ writeId: "w2", second: 1, bytes: bytes("two") });
    await collect();
    pass();
    let lists = 0;
    hook.step = async (when, what) => {
      if (when !== "before" || !what.startsWith("list ") || (lists += 1) !== 3) return;
      hook.step = async () => undefined;
      await store.put("rootfssnapshots/team/other.json", bytes("{"), { kind: "always" }, call);
    };
    expect(await collect()).toMatchObject({ removedLayers: 0 });
    expect(lists).toBe(3);
  });

  test("one that is replaced between the list and its reading counts as written now", async () => {
    const { model, publish, collect, pass, store, hook } = createEngine();
    const write = (text: string) => store.put("rootfssnapshots/team/other.json", bytes(text), { kind: "always" }, call);
    await write("{");
    model.nowMs += COLLECT_PATIENCE.uploadMs + 1;
    for (const [second, writeId] of ["w1", "w2"].entries()) await publish({ writeId, second, bytes: bytes(writeId) });
    await collect();
    pass();
    hook.step = async (when, what) => {
      if (when !== "before" || what !== "get rootfssnapshots/team/other.json") return;
      hook.step = async () => undefined;
      await write("{}");
    };
    expect(await collect()).toMatchObject({ removedLayers: 0 });
  });

  test("keeps exactly what a manifest of a later release names", async () => {
    const { publish, collect, pass, store, keys } = createEngine();
    for (const [second, writeId] of ["w1", "w2", "w3"].entries())
      await publish({ writeId, second, bytes: bytes(writeId) });
    const layers = [{ key: "rootfssnapshots/team/work.w2-t2.tar.zst", of: "another form" }];
    const later = JSON.stringify({ formatVersion: 2, layers, deltas: {} });
    await store.put("rootfssnapshots/team/later.json", bytes(later), { kind: "always" }, call);
    for (let round = 0; round < 2; round += 1, pass())
      expect(await collect()).toMatchObject({ unreadable: [], removedLayers: round });
    expect(keys()).toEqual(["collected", "later.json", "work.json", "work.w2-t2.tar.zst", "work.w3-t3.tar.zst"]);
  });

  test("refuses a grace period that a write could outlast", async () => {
    const { store } = createEngine();
    const hasty = collectSnapshots(store, { namespace: "team", graceMs: 1000, uploadMs: 1000 }, call);
    await expect(hasty).rejects.toBeInstanceOf(RangeError);
  });
});
