import { describe, expect, test } from "vitest";
import type { MounterAnswer } from "#api/mounter-channel.ts";
import { createChange } from "#core/change.ts";
import { silentLog } from "#core/log.ts";
import type { ContainerSpec } from "#core/sandbox.ts";
import { createManualClock } from "../../../../../test/harness/manual-clock.ts";
import { MounterError } from "../mounter.ts";
import { createRestores } from "./restores.ts";

const sha = (digit: string): string => `sha256:${digit.repeat(64)}`;
const PIN = `debian@${sha("a")}`;
const OTHER = `debian@${sha("b")}`;
const absent: MounterAnswer<"find"> = { kind: "absent" };

function manifestOf(name: string, image = PIN): MounterAnswer<"find"> {
  const layer = { key: `${name}.w`, digest: sha("1"), bytes: 1, tarDigest: sha("2"), tarBytes: 2, entries: 1 };
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

function createBench(whole: Promise<void> = Promise.resolve()) {
  const clock = createManualClock();
  const change = createChange();
  const store = new Map<string, MounterAnswer<"find"> | MounterError>();
  const waits: (string | undefined)[] = [];
  let looks = 0;
  whole.catch(() => undefined);
  const restores = createRestores({
    clock,
    change,
    random: () => 0,
    namespace: "team",
    mounter: {
      async find({ name }) {
        looks += 1;
        const found = store.get(name) ?? absent;
        if (found instanceof MounterError) throw found;
        return found;
      },
      hold: async () => ({
        path: "/x",
        tarDigest: sha("7"),
        tarBytes: 1024,
        whole,
        release: () => undefined,
      }),
    },
  });
  const leaver = new AbortController();
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (message: string) => void warnings.push(message) };
  const call = { signal: leaver.signal, log, onWait: (what: string | undefined) => void waits.push(what) };
  const find = (...containers: Partial<ContainerSpec>[]) =>
    restores.find(
      {
        containers: containers.map((each, index) => ({ name: `c${index}`, image: PIN, env: {}, ...each })),
        startupTimeoutSeconds: 60,
      },
      call,
    );
  return { clock, change, store, waits, warnings, leaver, call, find, looks: () => looks };
}

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
    store.set("one", new MounterError({ code: "unavailable", reason: "StoreFailed", message: "It is away." }));
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
    ["unavailable", "LayerLost", { cause: { name: "StartError", reason: "RootfsRestoreConfigurationError" } }],
    ["damaged", "StartError", { reason: "SnapshotDamaged" }],
    ["absent", "StartError", { reason: "SnapshotDamaged" }],
  ] as const)("says of a layer that turns out to be %s while it comes what is to be done", async (code, name, more) => {
    const fault = new MounterError({ code, reason: "StoreFailed", message: "Something is wrong." });
    const { store, find, call } = createBench(Promise.reject(fault));
    store.set("one", manifestOf("one"));
    const [layer] = (await find({ rootfsSnapshotName: "one" })).get("c0")?.root.layers ?? [];
    const file = await layer?.fetch(call.signal);
    expect(file?.coming?.bytes).toBe(1024);
    await expect(file?.coming?.whole).rejects.toMatchObject({ name, ...more });
  });
});
