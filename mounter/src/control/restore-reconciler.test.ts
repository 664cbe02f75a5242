import { describe, expect, test } from "vitest";
import type { SandboxResource, SandboxRootfsRestore } from "#api/crd/sandbox.ts";
import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { silentLog } from "#core/log.ts";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import { RestoreFault } from "../domain/restore/restore-fault.ts";
import { createRestoreReconciler } from "./restore-reconciler.ts";
import type { FoundRestore, RestoreWork } from "./restore-work.ts";
import { createSnapshotNews } from "./snapshot-news.ts";

const never = new AbortController().signal;
const UID = "11111111-2222-3333-4444-555555555555";
const KEY = "team/box";
const OWNER = { namespace: "team", sandboxUid: UID };
const image = (hex: string): string => `debian@sha256:${hex.repeat(64)}`;
const MANIFEST = { writeId: "w1", base: { image: image("a") } } as SnapshotManifest;

class Damage extends Error {}

function sandboxOf(said: readonly SandboxRootfsRestore[] = []): SandboxResource {
  const rootfsSnapshotSources = [
    { snapshotName: "work", containerName: "main" },
    { snapshotName: "tools", containerName: "second" },
  ];
  const containers = ["main", "second"].map((name) => ({ name, image: image("a") }));
  return {
    metadata: { namespace: "team", name: "box", uid: UID },
    spec: { startupTimeoutSeconds: 90, podTemplate: { spec: { containers } }, rootfsSnapshotSources },
    status: { rootfsRestores: said },
  };
}

function podOf(memory?: string): Pod {
  const resources = memory === undefined ? {} : { resources: { limits: { memory } } };
  return {
    metadata: {
      name: "box-pod",
      uid: "p1",
      ownerReferences: [{ apiVersion: "v1", kind: "Sandbox", name: "box", uid: UID }],
    },
    spec: { containers: ["main", "second"].map((name) => ({ name, image: image("a"), ...resources })) },
    status: { phase: "Pending" },
  };
}

/** A node whose store has what a test puts there. */
function prepare() {
  const clock = createManualClock();
  const stored = new Map<string, FoundRestore>();
  const inPlace = new Set<string>();
  const written: (readonly SandboxRootfsRestore[])[] = [];
  const world: {
    sandbox: SandboxResource | undefined;
    pod: Pod | undefined;
    place: () => Promise<void>;
    canWrite: boolean;
  } = {
    sandbox: sandboxOf(),
    pod: podOf(),
    place: () => Promise.resolve(),
    canWrite: true,
  };
  const troubles: string[] = [];
  let [finds, places] = [0, 0];
  const put = (container: string, tarBytes: number) => {
    inPlace.add(container);
    return { tarBytes, remove: async () => void inPlace.delete(container) };
  };
  const work: RestoreWork = {
    async find({ name }, { onTrouble, signal }) {
      finds += 1;
      const trouble = troubles.shift();
      if (trouble !== undefined) {
        onTrouble?.(new Error(trouble));
        await clock.sleep(60_000, signal);
      }
      return stored.get(name);
    },
    async place(_owner, container, found) {
      places += 1;
      await world.place();
      return put(container, found.tarBytes ?? 1);
    },
    placed: async (_owner, container) => (inPlace.has(container) ? put(container, 1) : undefined),
    sweep: async () => undefined,
    fault: (error) => ({
      message: error instanceof Error ? error.message : "unknown",
      isDamage: error instanceof Damage,
    }),
  };
  const news = createSnapshotNews(clock);
  const life = new AbortController();
  const reconciler = createRestoreReconciler(
    {
      work,
      clock,
      random: () => 0.5,
      log: silentLog,
      find: () => ({ sandbox: world.sandbox, pod: world.pod }),
      findOwner: () => ({ sandbox: world.sandbox, pod: world.pod }),
      write: async (_job, restores) => {
        if (!world.canWrite) throw new Error("no answer");
        written.push(restores);
        return true;
      },
      untilWritten: news.wait,
      enqueueAt: () => undefined,
    },
    life.signal,
  );
  let isReleased = false;
  void reconciler.untilReleased(OWNER, never).then(() => (isReleased = true));
  const look = async (): Promise<void> => {
    await reconciler.reconcile(KEY, never);
    await clock.settle();
  };
  const last = (container: string): SandboxRootfsRestore | undefined =>
    written.at(-1)?.find(({ containerName }) => containerName === container);
  return {
    clock,
    stored,
    troubles,
    inPlace,
    written,
    world,
    news,
    reconciler,
    life,
    look,
    last,
    finds: () => finds,
    places: () => places,
    isReleased: () => isReleased,
  };
}

describe("createRestoreReconciler()", () => {
  test("lets the containers start when all is in place and said so, not before", async () => {
    const { stored, look, inPlace, last, isReleased, world, clock } = prepare();
    stored.set("work", { manifest: MANIFEST, tarBytes: 10 });
    stored.set("tools", { tarBytes: 20 });
    world.canWrite = false;
    await look();
    await clock.advance(3000);
    expect([inPlace.size, isReleased()]).toEqual([2, false]);
    world.canWrite = true;
    await clock.advance(6000);
    expect(isReleased()).toBe(true);
    expect(last("main")).toEqual({
      containerName: "main",
      snapshotName: "work",
      phase: "Ready",
      writeId: "w1",
      base: MANIFEST.base,
      tarBytes: 10,
    });
    expect(last("second")).toMatchObject({ phase: "Ready", message: expect.stringContaining("another program") });
  });

  test("waits for a snapshot that is not there yet, asks ever less often, and is woken by its record", async () => {
    const { stored, look, last, isReleased, finds, clock, news } = prepare();
    stored.set("tools", { tarBytes: 1 });
    await look();
    await clock.advance(100);
    expect(last("main")).toMatchObject({ phase: "Waiting", message: 'There is no snapshot "work" yet.' });
    await clock.advance(60_000);
    const before = finds();
    expect(before).toBeLessThan(30);
    stored.set("work", { manifest: MANIFEST, tarBytes: 1 });
    news.tell("team", "other");
    await clock.settle();
    expect(finds()).toBe(before);
    news.tell("team", "work");
    await clock.advance(10);
    expect([finds(), isReleased()]).toEqual([before + 1, true]);
  });

  test("says why it waits while the store is asked, and what for once it has answered", async () => {
    const { stored, troubles, look, last, clock, written } = prepare();
    stored.set("tools", { tarBytes: 1 });
    // The first two questions: one for each container.
    troubles.push("Cannot read work: refused.", "Cannot read tools: refused.");
    await look();
    await clock.advance(5000);
    for (const [container, message] of [
      ["main", "Cannot read work: refused."],
      ["second", "Cannot read tools: refused."],
    ] as const)
      expect(last(container)).toMatchObject({ phase: "Waiting", message });
    await clock.advance(60_000);
    expect(last("main")).toMatchObject({ phase: "Waiting", message: 'There is no snapshot "work" yet.' });
    expect(last("second")).toMatchObject({ phase: "Ready" });
    const before = written.length;
    await clock.advance(60_000);
    expect(written.length).toBe(before);
  });

  test("finds one that nobody tells of within 5 s", async () => {
    const { stored, look, isReleased, clock } = prepare();
    stored.set("tools", { tarBytes: 1 });
    await look();
    await clock.advance(60_000);
    stored.set("work", { manifest: MANIFEST, tarBytes: 1 });
    await clock.advance(5000);
    expect(isReleased()).toBe(true);
  });

  test("another base is refused with both, before anything is read", async () => {
    const { stored, look, last, isReleased, places, clock } = prepare();
    stored.set("work", { manifest: { ...MANIFEST, base: { image: image("b") } }, tarBytes: 1 });
    await look();
    await clock.advance(10);
    expect(last("main")).toMatchObject({ phase: "Failed", message: expect.stringContaining(image("b")) });
    stored.set("tools", { tarBytes: 1 });
    await clock.advance(10_000);
    expect([isReleased(), places()]).toEqual([false, 1]);
  });

  test("counts what all of a sandbox's containers restore against its memory", async () => {
    for (const [mebibytes, fits] of [
      [20, false],
      [10, true],
    ] as const) {
      const { stored, look, isReleased, written, world, clock } = prepare();
      world.pod = podOf("64Mi");
      stored.set("work", { tarBytes: mebibytes * 2 ** 20 });
      stored.set("tools", { tarBytes: mebibytes * 2 ** 20 });
      await look();
      await clock.advance(10_000);
      expect(isReleased()).toBe(fits);
      expect(written.at(-1)?.some(({ phase }) => phase === "Failed")).toBe(!fits);
    }
  });

  test("tries again what may pass, and gives damage up when it stays", async () => {
    const { stored, look, last, isReleased, places, clock, world, inPlace } = prepare();
    stored.set("tools", { tarBytes: 1 });
    stored.set("work", { tarBytes: 1 });
    world.place = () => Promise.reject(new Error("The store gives no answer."));
    await look();
    await clock.advance(3000);
    expect(last("main")).toMatchObject({ phase: "Waiting", message: "The store gives no answer." });
    world.place = () => Promise.reject(new Damage("It is damaged."));
    const before = places();
    await clock.advance(200_000);
    expect(last("main")).toMatchObject({ phase: "Failed", reason: "SnapshotDamaged", message: "It is damaged." });
    expect([isReleased(), places() - before, inPlace.size]).toEqual([false, 6, 0]);
  });

  test("clears away when the containers have started or the pod is gone, and goes on to answer", async () => {
    const { stored, look, isReleased, inPlace, world, clock, reconciler } = prepare();
    stored.set("work", { tarBytes: 1 });
    stored.set("tools", { tarBytes: 1 });
    await look();
    await clock.advance(10);
    const started = ["main", "second"].map((name) => ({ name, state: { running: {} } }));
    world.pod = { ...podOf(), status: { phase: "Running", containerStatuses: started } };
    await look();
    expect([isReleased(), inPlace.size]).toEqual([true, 0]);
    // An agent that was restarted is asked about again.
    await reconciler.untilReleased(OWNER, never);
    world.pod = undefined;
    await look();
    expect(reconciler.active).toBe(0);
  });

  test("ends what is under way when the pod goes", async () => {
    const { look, world, clock, finds, isReleased } = prepare();
    await look();
    await clock.advance(1000);
    world.pod = { ...podOf(), metadata: { ...podOf().metadata, deletionTimestamp: "2026-11-22T10:00:00Z" } };
    await look();
    const before = finds();
    await clock.advance(60_000);
    expect([finds(), isReleased()]).toEqual([before, false]);
  });

  test("takes up what an earlier life has put in place or given up, and makes the rest anew", async () => {
    const said: SandboxRootfsRestore[] = [
      { containerName: "main", snapshotName: "work", phase: "Ready", writeId: "w0", tarBytes: 7 },
      { containerName: "second", snapshotName: "tools", phase: "Ready" },
    ];
    const { stored, look, inPlace, world, clock, places, last, isReleased } = prepare();
    world.sandbox = sandboxOf(said);
    inPlace.add("main");
    stored.set("tools", { tarBytes: 1 });
    await look();
    await clock.advance(100);
    expect([places(), isReleased()]).toEqual([1, true]);
    expect(last("main")).toMatchObject({ writeId: "w0", tarBytes: 7 });
    const failed = prepare();
    failed.world.sandbox = sandboxOf([
      { containerName: "main", snapshotName: "work", phase: "Failed", message: "No." },
    ]);
    failed.stored.set("work", { tarBytes: 1 });
    failed.stored.set("tools", { tarBytes: 1 });
    await failed.look();
    await failed.clock.advance(10_000);
    expect([failed.places(), failed.isReleased()]).toEqual([1, false]);
  });

  test("a refusal of the node is final", async () => {
    const { stored, look, last, world, clock } = prepare();
    stored.set("work", { tarBytes: 1 });
    world.place = () => Promise.reject(new RestoreFault("It is too large."));
    await look();
    await clock.advance(100);
    const reason = "RootfsRestoreConfigurationError";
    expect(last("main")).toMatchObject({ phase: "Failed", reason, message: "It is too large." });
  });

  test("what is in place stays when the program ends", async () => {
    const { stored, look, inPlace, clock, life, reconciler } = prepare();
    stored.set("work", { tarBytes: 1 });
    stored.set("tools", { tarBytes: 1 });
    await look();
    await clock.advance(10);
    life.abort(new Error("SIGTERM"));
    await reconciler.idle();
    expect(inPlace.size).toBe(2);
  });
});
