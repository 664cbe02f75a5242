import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createManualClock, type ManualClock } from "../../../test/harness/manual-clock.ts";
import { createModelApiServer, type ModelApiServer, type ModelObject } from "../../../test/harness/model-api-server.ts";
import { silentLog, type Log } from "../log.ts";
import type { Resource } from "./client.ts";
import type { Informer, InformerOptions, ReconnectReason } from "./informer-port.ts";
import { createInformer } from "./informer.ts";
import { createKubeClient } from "./kube-client.ts";

const MODELS: Resource<ModelObject> = { group: "m", version: "v1", plural: "models", kind: "Model", namespaced: true };
const STALL_MS = 90_000;
const NAMES = ["a", "b", "c", "d"] as const;

interface World {
  readonly server: ModelApiServer;
  readonly clock: ManualClock;
  readonly informer: Informer<ModelObject>;
  /** What a follower of the reported changes believes. */
  readonly reported: Map<string, ModelObject>;
  /** How many changes were reported. */
  readonly reports: number;
  /** Changes that no follower may be told. */
  readonly faults: readonly string[];
  readonly reconnects: ReconnectReason[];
  close(): Promise<void>;
}

interface WorldOptions extends Partial<InformerOptions<ModelObject>> {
  readonly server?: ModelApiServer;
}

function createWorld({ server = createModelApiServer(), ...options }: WorldOptions = {}): World {
  const clock = createManualClock();
  const random = fc.sample(fc.double({ min: 0, max: 0.999, noNaN: true }), { numRuns: 64, seed: 7 });
  const dice = { random: () => random[(random.push(random.shift() ?? 0) * 7) % 64] ?? 0 };
  const client = createKubeClient(server.fetch, { clock, ...dice });
  const reconnects: ReconnectReason[] = [];
  const informer = createInformer(client, MODELS, {
    clock,
    log: silentLog,
    ...dice,
    pageSize: 2,
    stallMs: STALL_MS,
    observer: { listed: () => undefined, reconnected: (reason) => reconnects.push(reason) },
    ...options,
  });
  const reported = new Map<string, ModelObject>();
  /** Last version reported of each key, kept when the object goes. */
  const newest = new Map<string, number>();
  const faults: string[] = [];
  let reports = 0;
  informer.onChange((key, now, before) => {
    reports += 1;
    const told = Number((now ?? before)?.metadata.resourceVersion);
    const last = newest.get(key) ?? 0;
    const wasRemoved = server.removedAt((now ?? before)?.metadata.name ?? "") > last;
    if (before !== reported.get(key)) faults.push(`${key}: not what was reported before`);
    if (now === undefined) reported.delete(key);
    else reported.set(key, now);
    if (now !== undefined && told <= last) faults.push(`${key}: went back from ${last} to ${told}`);
    if (now === undefined && !wasRemoved) faults.push(`${key}: reported as gone after ${last}`);
    newest.set(key, Math.max(told, last));
  });
  const abort = new AbortController();
  const running = informer.run(abort.signal);
  const close = async (): Promise<void> => {
    abort.abort(new Error("over"));
    await clock.runUntil(running);
  };
  return {
    server,
    clock,
    informer,
    reported,
    faults,
    get reports() {
      return reports;
    },
    reconnects,
    close,
  };
}

/** What a log at its ordinary level is told. */
function listeningLog(): { log: Log; told: string[] } {
  const told: string[] = [];
  const at = (level: string) => (message: string) => void told.push(`${level}: ${message}`);
  const log: Log = { debug: () => undefined, info: at("info"), warn: at("warn"), error: at("error"), child: () => log };
  return { log, told };
}

function serverOf(...names: readonly string[]): ModelApiServer {
  const server = createModelApiServer();
  for (const name of names) server.put(name);
  return server;
}

function contents(objects: Iterable<ModelObject>): Record<string, number> {
  return Object.fromEntries(Array.from(objects, ({ metadata, value }) => [metadata.name, value]));
}

type Run = (world: World, later: (() => void)[]) => void | Promise<void>;

interface Step {
  readonly run: Run;
  readonly [fc.toStringMethod]: () => string;
}

const name = fc.constantFrom(...NAMES);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: name.map((n) => named(`put ${n}`, ({ server }) => void server.put(n))) },
  { weight: 3, arbitrary: name.map((n) => named(`remove ${n}`, ({ server }) => void server.remove(n))) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.integer({ min: 1, max: 5 }), fc.constantFrom(3, 17, 1000))
      .map(([count, bytes]) => named(`deliver ${count} by ${bytes}`, ({ server }) => server.deliver(count, bytes))),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 3 }).map((n) => named(`repeat ${n}`, ({ server }) => server.repeat(n))),
  },
  { weight: 1, arbitrary: fc.constant(named("write of another kind", ({ server }) => server.pass())) },
  {
    weight: 2,
    arbitrary: fc.constant(
      named("a list that takes long", async ({ server, clock }) => {
        server.hold();
        server.end("expired");
        await clock.advance(5000);
      }),
    ),
  },
  { weight: 2, arbitrary: fc.nat(3).map((n) => named(`bookmark -${n}`, ({ server }) => server.bookmark(n))) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom("clean" as const, "cut" as const, "expired" as const)
      .map((how) => named(`end ${how}`, ({ server }) => server.end(how))),
  },
  { weight: 1, arbitrary: fc.constant(named("compact", ({ server }) => server.compact())) },
  { weight: 1, arbitrary: fc.constant(named("hold", ({ server }) => server.hold())) },
  { weight: 2, arbitrary: fc.constant(named("release", ({ server }) => server.release())) },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.constantFrom("unsent" as const, "no-answer" as const, 429 as const, 500 as const, 503 as const), {
        maxLength: 7,
      })
      .map((faults) => named(`fail ${faults.join()}`, ({ server }) => server.fail(faults))),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(1, 150, 2500, STALL_MS + 1)
      .map((ms) => named(`advance ${ms}`, ({ clock }) => clock.advance(ms))),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(name, fc.boolean()).map(([n, isLate]) =>
      named(`own write ${n}${isLate ? ", late" : ""}`, ({ server, informer }, later) => {
        const written = server.put(n);
        const take = (): void => informer.upsert(written);
        if (isLate) later.push(take);
        else take();
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(name, fc.boolean()).map(([n, isLate]) =>
      named(`own removal ${n}${isLate ? ", late" : ""}`, ({ server, informer }, later) => {
        const removed = server.remove(n);
        if (removed === undefined) return;
        const take = (): void => informer.drop(`n/${n}`, removed.metadata.uid ?? "");
        if (isLate) later.push(take);
        else take();
      }),
    ),
  },
  { weight: 2, arbitrary: fc.constant(named("answers of own writes", (_world, later) => later.shift()?.())) },
);

function named(label: string, run: Run): Step {
  return { run, [fc.toStringMethod]: () => label };
}

describe("createInformer()", () => {
  it("converges to the server's state and reports each change, whatever happens on the way", async () => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const world = createWorld();
      const later: (() => void)[] = [];
      for (const { run } of steps) {
        await run(world, later);
        await world.clock.settle();
        expect(contents(world.informer.values())).toEqual(contents(world.reported.values()));
        expect(world.faults).toEqual([]);
      }
      for (const take of later) take();
      // From here on all goes well.
      const { server, clock, informer } = world;
      server.fail([]);
      server.release();
      for (let minute = 0; minute < 4; minute += 1) {
        await clock.advance(60_000);
        server.deliver(1000);
        server.bookmark(0);
        await clock.settle();
      }
      expect(world.faults).toEqual([]);
      expect(informer.isSynced).toBe(true);
      expect(contents(informer.values())).toEqual(contents(server.state.values()));
      expect(contents(world.reported.values())).toEqual(contents(server.state.values()));
      await world.close();
    });
    await fc.assert(property, { numRuns: 400 });
  });

  it("knows an own write before the stream tells it, and does not go back when it tells older ones", async () => {
    const world = createWorld();
    const { server, clock, informer } = world;
    await clock.settle();
    server.put("a");
    const written = server.put("a");
    informer.upsert(written);
    expect(informer.get("n/a")).toBe(written);
    server.deliver(1);
    await clock.settle();
    expect(informer.get("n/a")).toBe(written);
    await world.close();
  });

  it("never brings back an object that was removed for good", async () => {
    const world = createWorld({ server: serverOf("a") });
    const { server, clock, informer } = world;
    await clock.settle();
    const uid = informer.get("n/a")?.metadata.uid ?? "";
    server.put("a");
    server.remove("a");
    informer.drop("n/a", uid);
    server.deliver(1);
    await clock.settle();
    expect(informer.get("n/a")).toBeUndefined();
    server.put("a");
    server.deliver(2);
    await clock.settle();
    expect(informer.get("n/a")?.value).toBe(server.state.get("a")?.value);
    await world.close();
  });

  it.each(["the stream", "a late answer"])(
    "takes from %s no former object of the name of one that was made and removed since",
    async (source) => {
      const world = createWorld();
      const { server, clock, informer } = world;
      await clock.settle();
      const former = server.put("a");
      server.remove("a");
      const { uid = "" } = server.put("a").metadata;
      informer.upsert(server.put("a"));
      server.remove("a");
      informer.drop("n/a", uid);
      if (source === "the stream") server.deliver(1);
      else informer.upsert(former);
      await clock.settle();
      expect(informer.get("n/a")).toBeUndefined();
      expect(world.faults).toEqual([]);
      server.put("a");
      server.deliver(10);
      await clock.settle();
      expect(informer.get("n/a")?.value).toBe(server.state.get("a")?.value);
      expect(world.faults).toEqual([]);
      await world.close();
    },
  );

  it("ignores the late answer to an own write when the stream has told the object's end", async () => {
    const world = createWorld();
    const { server, clock, informer } = world;
    await clock.settle();
    const written = server.put("a");
    server.remove("a");
    server.deliver(2);
    await clock.settle();
    informer.upsert(written);
    expect(informer.get("n/a")).toBeUndefined();
    await world.close();
  });

  it("does not take over from a list, or from older events after it, what was removed while it was read", async () => {
    const server = createModelApiServer();
    server.put("a");
    server.hold();
    const world = createWorld({ server });
    const { clock, informer } = world;
    await clock.settle();
    const { uid = "" } = server.put("a").metadata;
    server.remove("a");
    informer.drop("n/a", uid);
    server.release();
    await clock.settle();
    expect(informer.isSynced).toBe(true);
    server.deliver(1);
    await clock.settle();
    expect([...informer.values()]).toEqual([]);
    await world.close();
  });

  it("ignores events from before its list", async () => {
    const server = createModelApiServer();
    server.put("a");
    server.remove("a");
    const world = createWorld({ server });
    const { clock, informer } = world;
    await clock.settle();
    server.repeat(2);
    await clock.settle();
    server.repeat(2);
    await clock.settle();
    expect(world.reported.size + informer.size).toBe(0);
    expect(world.reports).toBe(0);
    await world.close();
  });

  it("resumes a watch at the last version, bookmarks included, without a list", async () => {
    const world = createWorld();
    const { server, clock } = world;
    await clock.settle();
    server.put("a");
    server.deliver(1);
    server.end("cut");
    await clock.advance(1000);
    server.pass();
    server.bookmark(0);
    server.bookmark(1);
    server.end("cut");
    await clock.advance(1000);
    const versions = server.requests.map((path) => /resourceVersion=(\d+)/.exec(path)?.[1]);
    expect(versions).toEqual([undefined, "100", "101", "102"]);
    expect(world.reconnects).toEqual(["cut", "cut"]);
    await world.close();
  });

  it("renews a watch that says nothing, and lists when it says nothing again", async () => {
    const world = createWorld();
    const { server, clock } = world;
    await clock.settle();
    await clock.advance(STALL_MS + 1000);
    expect(world.reconnects).toEqual(["stalled"]);
    expect(server.requests.filter((path) => !path.includes("watch="))).toHaveLength(1);
    await clock.advance(STALL_MS + 1000);
    expect(server.requests.filter((path) => !path.includes("watch="))).toHaveLength(2);
    await world.close();
  });

  it("renews a silent watch in time though the machine's clock was set back", async () => {
    const base = createManualClock();
    let setBackMs = 0;
    const world = createWorld({ clock: { now: () => base.now() - setBackMs, sleep: base.sleep } });
    await base.settle();
    await base.advance(1000);
    setBackMs = 3_600_000;
    await base.advance(2 * STALL_MS);
    expect(world.reconnects).toEqual(["stalled"]);
    await world.close();
  });

  it("says nothing of silence, however long, and nothing of a single break", async () => {
    const { log, told } = listeningLog();
    const world = createWorld({ server: serverOf("a"), log });
    const { server, clock } = world;
    await clock.settle();
    for (let turn = 0; turn < 20; turn += 1) await clock.advance(STALL_MS + 1000);
    expect(new Set(world.reconnects)).toEqual(new Set(["stalled"]));
    for (const how of ["cut", "expired"] as const) {
      server.end(how);
      await clock.advance(2000);
      server.put("a");
      server.deliver(1);
      await clock.settle();
    }
    expect(world.reconnects.slice(-2)).toEqual(["cut", "expired"]);
    expect(told).toEqual([]);
    await world.close();
  });

  it("tells once that the stream stays broken, and once that it goes on", async () => {
    const { log, told } = listeningLog();
    const world = createWorld({ log });
    const { server, clock } = world;
    await clock.settle();
    server.fail(Array.from({ length: 200 }, () => "no-answer" as const));
    server.end("cut");
    await clock.advance(60_000);
    expect(told).toEqual(["warn: The stream of changes stays broken"]);
    server.fail([]);
    await clock.advance(6000);
    server.put("a");
    server.deliver(1);
    await clock.settle();
    expect(told.slice(1)).toEqual(["info: The stream of changes goes on"]);
    await world.close();
  });

  it("lists ever less often, and says so, while each watch answers that the list's version is lost", async () => {
    const { log, told } = listeningLog();
    const world = createWorld({ log });
    const { server, clock } = world;
    await clock.settle();
    for (let turn = 0; turn < 600; turn += 1) {
      server.end("expired");
      await clock.advance(100);
    }
    const lists = server.requests.filter((path) => !path.includes("watch=")).length;
    expect(lists).toBeGreaterThan(60 / 6);
    expect(lists).toBeLessThan(2 * (60 / 2.5));
    expect(told).toEqual(["warn: The stream of changes stays broken"]);
    await world.close();
  });

  it("asks ever less often while the server gives no answer, and at most every five seconds", async () => {
    const world = createWorld();
    const { server, clock } = world;
    await clock.settle();
    server.fail(Array.from({ length: 10_000 }, () => "no-answer" as const));
    server.end("cut");
    await clock.advance(600_000);
    const { length } = server.requests;
    expect(length).toBeGreaterThan(600 / 5);
    expect(length).toBeLessThan(2 * (600 / 2.5));
    await world.close();
  });

  it("finds objects by index, through changes and lists", async () => {
    const world = createWorld({
      server: serverOf("a", "b"),
      indexes: { parity: ({ value }) => [value % 2 === 0 ? "even" : "odd"] },
    });
    const { server, clock, informer } = world;
    await clock.settle();
    expect(contents(informer.byIndex("parity", "odd"))).toEqual({ a: 101 });
    server.put("a");
    server.put("c");
    server.deliver(2);
    await clock.settle();
    expect(contents(informer.byIndex("parity", "odd"))).toEqual({ a: 103 });
    expect(contents(informer.byIndex("parity", "even"))).toEqual({ b: 102, c: 104 });
    expect(() => informer.byIndex("colour", "red")).toThrow(RangeError);
    await world.close();
  });

  it("keeps what trim leaves of each object, listed and watched alike", async () => {
    const trim = ({ metadata: { name, namespace, resourceVersion }, value }: ModelObject): ModelObject => ({
      metadata: { name, namespace: namespace ?? "", resourceVersion: resourceVersion ?? "" },
      value,
    });
    const world = createWorld({ trim, server: serverOf("a") });
    const { server, clock, informer } = world;
    await clock.settle();
    server.put("b");
    server.deliver(1);
    await clock.settle();
    expect(Array.from(informer.values(), ({ metadata }) => metadata.uid)).toEqual([undefined, undefined]);
    await world.close();
  });

  it("goes on when a listener throws", async () => {
    const world = createWorld();
    const { server, clock, informer } = world;
    informer.onChange(() => {
      throw new Error("a listener's fault");
    });
    await clock.settle();
    server.put("a");
    server.deliver(1);
    await clock.settle();
    expect(world.reconnects).toEqual([]);
    expect(contents(informer.values())).toEqual(contents(server.state.values()));
    await world.close();
  });

  it("drops at a list what only an own write claimed", async () => {
    const world = createWorld();
    const { clock, informer } = world;
    await clock.settle();
    informer.upsert({ metadata: { namespace: "n", name: "ghost", uid: "u", resourceVersion: "999" }, value: 1 });
    world.server.end("expired");
    await clock.advance(5000);
    expect(contents(informer.values())).toEqual({});
    await world.close();
  });
});
