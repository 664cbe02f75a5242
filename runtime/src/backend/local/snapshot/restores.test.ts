import { describe, expect, test } from "vitest";
import type { MounterAnswer } from "#api/mounter-channel.ts";
import { createChange } from "#core/change.ts";
import { silentLog } from "#core/log.ts";
import type { ContainerSpec } from "#core/sandbox.ts";
import { createManualClock } from "../../../../../test/harness/manual-clock.ts";
import { MounterError } from "../mounter.ts";
import { createRestores, type FoundRestore } from "./restores.ts";

const sha = (digit: string): string => `sha256:${digit.repeat(64)}`;
const PIN = `debian@${sha("a")}`;
const OTHER = `debian@${sha("b")}`;
const absent: MounterAnswer<"find"> = { kind: "absent" };

function manifestOf(name: string, image = PIN, tarBytes = 2): MounterAnswer<"find"> {
  const layer = { key: `${name}.w`, digest: sha("1"), bytes: 1, tarDigest: sha("2"), tarBytes, entries: 1 };
  return {
    kind: "manifest",
    manifest: {
      formatVersion: 1,
      writeId: "w",
      namespace: "team",
      name,
      createdAt: "2026-11-22T10:00:00Z",
      sandboxName: "box",
      containerName: "main",
      base: { image },
      runtime: { name: "runsc", version: "v" },
      layers: [layer],
      warnings: [],
    },
  };
}

const unavailable = new MounterError({ code: "unavailable", reason: "StoreFailed", message: "It is away." });

function createBench(whole: () => Promise<void> = async () => undefined) {
  const clock = createManualClock();
  const change = createChange();
  const store = new Map<string, MounterAnswer<"find"> | MounterError | Promise<never>>();
  const waits: (string | undefined)[] = [];
  let looks = 0;
  /** Passed before a layer is held. */
  const hook: { hold: () => Promise<void> } = { hold: async () => undefined };
  const asked: (boolean | undefined)[] = [];
  const restores = createRestores({
    clock,
    change,
    random: () => 0,
    namespace: "team",
    mounter: {
      async find({ name }) {
        looks += 1;
        const found = (await store.get(name)) ?? absent;
        if (found instanceof MounterError) throw found;
        return found;
      },
      async hold({ isReadOnce }) {
        asked.push(isReadOnce);
        await hook.hold();
        const ended = whole();
        ended.catch(() => undefined);
        return { path: "/x", tarDigest: sha("7"), tarBytes: 1024, whole: ended, release: () => undefined };
      },
    },
  });
  const leaver = new AbortController();
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (message: string) => void warnings.push(message) };
  const call = { signal: leaver.signal, log, onWait: (what: string | undefined) => void waits.push(what) };
  const start = <T>(containers: readonly Partial<ContainerSpec>[], work: StartWork<T>) =>
    restores.start(
      {
        containers: containers.map((each, index) => ({ name: `c${index}`, image: PIN, env: {}, ...each })),
        startupTimeoutSeconds: 60,
      },
      call,
      work,
    );
  const find = (...containers: Partial<ContainerSpec>[]) => start(containers, async (found) => found);
  return { clock, change, store, hook, asked, waits, warnings, leaver, call, start, find, looks: () => looks };
}

type StartWork<T> = (found: ReadonlyMap<string, FoundRestore>) => Promise<T>;

/** As a machine does: all layers of the first container are brought, and have to be whole. */
const bring: StartWork<string> = async (found) => {
  for (const { fetch } of found.get("c0")?.root.layers ?? []) {
    const { coming } = await fetch(new AbortController().signal, { isReadOnce: false });
    await coming?.whole;
  }
  return "started";
};

describe("createRestores()", () => {
  test("asks nobody for containers that start from their images", async () => {
    const { find, looks } = createBench();
    expect([(await find({}, {})).size, looks()]).toEqual([0, 0]);
  });

  test("waits until all are there, says for which, and is woken by a snapshot of its own machine", async () => {
    const { clock, change, store, waits, find } = createBench();
    const finding = find({ rootfsSnapshotName: "one" }, {}, { rootfsSnapshotName: "two" });
    await clock.settle();
    store.set("one", manifestOf("one"));
    change.notify();
    await clock.settle();
    store.set("two", manifestOf("two"));
    change.notify();
    const found = await finding;
    expect(waits).toEqual([
      'the snapshot "one", which does not exist yet',
      'the snapshot "two", which does not exist yet',
      undefined,
    ]);
    expect([...found.keys()]).toEqual(["c0", "c2"]);
    expect(found.get("c2")).toMatchObject({
      root: { snapshotName: "two", base: { image: PIN }, layers: [{ tarDigest: sha("2") }] },
      restored: { ground: { kind: "layers", layers: [{ key: "two.w" }] } },
    });
  });

  test("looks again by itself, as others write to the store too, and while that does not answer", async () => {
    const { clock, store, waits, warnings, looks, find } = createBench();
    store.set("one", unavailable);
    const finding = find({ rootfsSnapshotName: "one" });
    await clock.advance(3_000);
    expect(waits.at(-1)).toBe('the snapshot "one", as the store does not say what it is: It is away');
    // Asked again and again, it is said once.
    expect([looks() > 2, warnings]).toEqual([true, ["The store of snapshots does not answer"]]);
    store.set("one", manifestOf("one"));
    await clock.advance(5_000);
    expect((await finding).size).toBe(1);
  });

  test("leaves when its caller does", async () => {
    const { clock, leaver, find } = createBench();
    const finding = find({ rootfsSnapshotName: "never" });
    await clock.settle();
    leaver.abort(new Error("left"));
    await expect(finding).rejects.toThrow("left");
  });

  test("refuses what is damaged, and another image, before anything is brought", async () => {
    const { store, find } = createBench();
    store.set("bad", { kind: "unreadable", fault: "It is no manifest." });
    await expect(find({ rootfsSnapshotName: "bad" })).rejects.toMatchObject({ reason: "SnapshotDamaged" });
    store.set("one", manifestOf("one"));
    await expect(find({ rootfsSnapshotName: "one", image: OTHER })).rejects.toMatchObject({
      reason: "RootfsRestoreConfigurationError",
      message: expect.stringMatching(/aaaa.*bbbb/) as string,
    });
  });

  test("warns of what is restored although it may not fit", async () => {
    const { store, find } = createBench();
    store.set("one", manifestOf("one"));
    store.set("raw", { kind: "raw", layer: { key: "raw.tar", version: "1", bytes: 9 } });
    const forced = await find({ rootfsSnapshotName: "one", image: OTHER, rootfsSnapshotAllowOtherBase: true });
    expect(forced.get("c0")?.root.base).toBeUndefined();
    expect(forced.get("c0")?.restored.warning).toMatch(/taken over .*aaaa.* onto .*bbbb/);
    const raw = await find({ rootfsSnapshotName: "raw" });
    expect(raw.get("c0")).toMatchObject({
      root: { layers: [{ tarDigest: sha("7") }] },
      restored: { ground: { kind: "raw" }, warning: expect.stringContaining("without a manifest") as string },
    });
    const same = await find({ rootfsSnapshotName: "one", rootfsSnapshotAllowOtherBase: true });
    expect(same.get("c0")?.restored.warning).toBeUndefined();
  });

  test.each([
    ["is not given", true],
    ["is lost while it comes", false],
  ])("waits as long as its caller for a layer that %s, says so, and finds it anew", async (_, isRefused) => {
    const world = { isAway: true };
    const away = async (): Promise<void> => {
      if (world.isAway) throw unavailable;
    };
    const { clock, store, hook, waits, looks, start } = createBench(isRefused ? async () => undefined : away);
    if (isRefused) hook.hold = away;
    store.set("one", manifestOf("one"));
    let works = 0;
    const starting = start([{ rootfsSnapshotName: "one" }], (found) => {
      works += 1;
      return bring(found);
    });
    await clock.advance(600_000);
    expect(waits).toEqual(["the rest of its snapshot, which the store does not give: It is away"]);
    expect([works > 100, works === looks()]).toEqual([true, true]);
    world.isAway = false;
    await clock.advance(5_000);
    expect(await starting).toBe("started");
    expect(waits.at(-1)).toBeUndefined();
  });

  test("waits for an archive without a manifest that the store does not give, until its caller leaves", async () => {
    const { clock, store, hook, waits, leaver, find } = createBench();
    hook.hold = () => Promise.reject(unavailable);
    store.set("raw", { kind: "raw", layer: { key: "raw.tar", version: "1", bytes: 9 } });
    const finding = find({ rootfsSnapshotName: "raw" });
    await clock.advance(60_000);
    expect(waits).toEqual(["the rest of its snapshot, which the store does not give: It is away"]);
    leaver.abort(new Error("left"));
    await expect(finding).rejects.toThrow("left");
  });

  test("says what for when the store is silent, to each start that needs it", async () => {
    const whole = Promise.withResolvers<void>();
    const { clock, store, waits, start } = createBench(() => whole.promise);
    const silence = Promise.withResolvers<never>();
    store.set("one", silence.promise);
    const leader = start([{ rootfsSnapshotName: "one" }], bring);
    await clock.advance(4_000);
    expect(waits).toEqual(['the snapshot "one", as the store does not say what it is']);
    store.set("one", manifestOf("one"));
    silence.reject(unavailable);
    await clock.advance(4_000);
    expect(waits.splice(0).at(-1)).toBe("the rest of its snapshot, which is on its way from the store");
    // Another one waits for what the first has asked for.
    const follower = start([{ rootfsSnapshotName: "one" }], () => leader);
    const other = Promise.withResolvers<string>();
    store.set("two", manifestOf("two"));
    const stranger = start([{ rootfsSnapshotName: "two" }], () => other.promise);
    await clock.advance(4_000);
    expect(waits.splice(0)).toEqual(["the rest of its snapshot, which is on its way from the store"]);
    whole.resolve();
    other.resolve("other");
    expect(await Promise.all([leader, follower, stranger])).toEqual(["started", "started", "other"]);
    expect(waits).toEqual([undefined, undefined]);
  });

  test.each(["damaged", "absent", "gone"] as const)("gives up a layer that is %s", async (code) => {
    const fault = new MounterError({ code, reason: "StoreFailed", message: "Something is wrong." });
    const { store, start } = createBench(() => Promise.reject(fault));
    store.set("one", manifestOf("one"));
    await expect(start([{ rootfsSnapshotName: "one" }], bring)).rejects.toMatchObject({ reason: "SnapshotDamaged" });
  });

  test.each([
    ["a pipe for what is read once", 100, [true, true]],
    ["a file for what is mostly holes, which a pipe would carry", 101, [false, false]],
  ])("has a layer brought by %s", async (_, tarBytes, expected) => {
    const { store, asked, find } = createBench();
    store.set("one", manifestOf("one", PIN, tarBytes));
    const [layer] = (await find({ rootfsSnapshotName: "one" })).get("c0")?.root.layers ?? [];
    const { signal } = new AbortController();
    const once = await layer?.fetch(signal, { isReadOnce: true });
    expect([asked.at(-1), once?.coming?.isPipe]).toEqual(expected);
    const often = await layer?.fetch(signal, { isReadOnce: false });
    expect([asked.at(-1), often?.coming?.isPipe]).toEqual([false, false]);
  });

  test("gives up what has no room here", async () => {
    const fault = new MounterError({ code: "full", reason: "DiskFull", message: "There is no room." });
    const { store, hook, start } = createBench();
    hook.hold = () => Promise.reject(fault);
    store.set("one", manifestOf("one"));
    const reason = "RootfsRestoreConfigurationError";
    await expect(start([{ rootfsSnapshotName: "one" }], bring)).rejects.toMatchObject({
      reason,
      message: "There is no room.",
    });
  });
});
