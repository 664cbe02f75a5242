import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createManualClock, type ManualClock } from "../../../../test/harness/manual-clock.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeFetch } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import type { Lease } from "#core/kubernetes/lease.ts";
import { silentLog } from "#core/log.ts";
import { createLeadership, type Leadership } from "./leadership.ts";

const STEP_MS = 50;
const HOLDERS = ["a", "b", "c"] as const;
type Holder = (typeof HOLDERS)[number];

/** One lease in the API server's terms: create, replace of exactly one version, list and watch. */
function createLeaseServer(clock: ManualClock) {
  const encoder = new TextEncoder();
  const watches = new Set<ReadableStreamDefaultController<Uint8Array>>();
  let lease: Lease | undefined;
  let version = 1;
  const refuse = (code: number): Response =>
    Response.json({ kind: "Status", code, reason: "Refused" }, { status: code });
  const tell = (watch: ReadableStreamDefaultController<Uint8Array>, type: string, object: Lease): void =>
    watch.enqueue(encoder.encode(`${JSON.stringify({ type, object })}\n`));
  const store = (next: Lease): Response => {
    version += 1;
    const type = lease === undefined ? "ADDED" : "MODIFIED";
    lease = { ...next, metadata: { ...next.metadata, uid: "u", resourceVersion: String(version) } };
    for (const watch of watches) tell(watch, type, lease);
    return Response.json(lease);
  };
  const answer = (path: string, method: string, body: Lease): Response => {
    if (method === "POST") return lease === undefined ? store(body) : refuse(409);
    if (method === "PUT") {
      return lease?.metadata.resourceVersion === body.metadata.resourceVersion ? store(body) : refuse(409);
    }
    if (path.includes("watch=")) {
      let mine: ReadableStreamDefaultController<Uint8Array> | undefined;
      const from = Number(/resourceVersion=(\d+)/.exec(path)?.[1]);
      return new Response(
        new ReadableStream<Uint8Array>({
          start: (controller) => {
            mine = controller;
            watches.add(controller);
            if (lease !== undefined && version > from) tell(controller, "ADDED", lease);
          },
          cancel: () => void (mine !== undefined && watches.delete(mine)),
        }),
      );
    }
    if (!path.includes("?")) return lease === undefined ? refuse(404) : Response.json(lease);
    return Response.json({ metadata: { resourceVersion: String(version) }, items: lease === undefined ? [] : [lease] });
  };
  return {
    /** Somebody else writes the lease. */
    give(holder: string): void {
      store({ metadata: { namespace: "n", name: "l" }, spec: { ...lease?.spec, holderIdentity: holder } });
    },
    get version() {
      return version;
    },
    get holder() {
      return lease?.spec?.holderIdentity;
    },
    /** Requests arrive, and answers return, after a while each. */
    fetchAfter: (delayMs: () => number): KubeFetch => {
      return async (path, { method = "GET", body, signal }) => {
        await clock.sleep(delayMs(), signal ?? undefined);
        const answered = answer(path, method, JSON.parse(typeof body === "string" ? body : "{}") as Lease);
        await clock.sleep(delayMs(), signal ?? undefined);
        return answered;
      };
    },
  };
}

interface Replica {
  readonly leadership: Leadership;
  /** Its timers stand still, and answers to it wait; what it believes of time goes on. */
  pause(): void;
  resume(): void;
  stop(): void;
  delayMs: number;
  /** Its writes arrive and their answers are lost. */
  losesAnswers: boolean;
  terms: number;
  /** Between the beginning of a term and its signal. */
  isActing: boolean;
  readonly running: Promise<void>;
}

/** Clocks may run a little fast or slow, each in its own way. */
function createReplica(
  holder: Holder,
  rate: number,
  world: ManualClock,
  server: ReturnType<typeof createLeaseServer>,
): Replica {
  let gate = Promise.resolve();
  let open: (() => void) | undefined;
  const passed = async <T>(value: T): Promise<T> => {
    await gate;
    return value;
  };
  const clock: Clock = {
    now: () => world.now() * rate,
    sleep: async (ms, signal) => {
      await world.sleep(ms / rate, signal);
      await gate;
    },
  };
  const send = server.fetchAfter(() => replica.delayMs);
  const transport: KubeFetch = async (path, init) => {
    const answer = await passed(await send(path, init));
    if (replica.losesAnswers && init.method !== "GET" && answer.ok) throw new Error("the answer was lost");
    return answer;
  };
  const abort = new AbortController();
  const leadership = createLeadership({
    client: createKubeClient(transport, { clock, random: () => 0.5 }),
    clock,
    wallNow: () => world.now() * rate,
    random: () => 0.5,
    log: silentLog,
    namespace: "n",
    name: "l",
    holder,
  });
  const replica: Replica = {
    leadership,
    pause: () => {
      if (open === undefined) gate = new Promise((resolve) => (open = resolve));
    },
    resume: () => {
      open?.();
      open = undefined;
    },
    stop: () => abort.abort(new Error("over")),
    delayMs: 10,
    losesAnswers: false,
    terms: 0,
    isActing: false,
    running: Promise.resolve(),
  };
  const running = leadership.run(abort.signal, async (term) => {
    replica.terms += 1;
    replica.isActing = true;
    await new Promise((resolve) => term.addEventListener("abort", resolve, { once: true }));
    replica.isActing = false;
  });
  return Object.assign(replica, { running });
}

function createWorld(rates: Readonly<Record<Holder, number>> = { a: 1, b: 1, c: 1 }) {
  const clock = createManualClock();
  const server = createLeaseServer(clock);
  const replicas = new Map(HOLDERS.map((holder) => [holder, createReplica(holder, rates[holder], clock, server)]));
  const get = (holder: Holder): Replica => {
    const replica = replicas.get(holder);
    if (replica === undefined) throw new RangeError(holder);
    return replica;
  };
  const holders = (): Holder[] => HOLDERS.filter((holder) => get(holder).leadership.isHeld);
  /** Lets time pass, and finds no moment at which two may act. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= STEP_MS) {
      await clock.advance(STEP_MS);
      expect(holders().length).toBeLessThanOrEqual(1);
    }
  };
  const close = async (): Promise<void> => {
    for (const replica of replicas.values()) {
      replica.resume();
      replica.stop();
    }
    await clock.runUntil(Promise.all(Array.from(replicas.values(), ({ running }) => running)));
  };
  return { clock, server, get, holders, pass, close };
}

describe("createLeadership()", () => {
  it("gives the lease up though its last renewal was kept and then cut", async () => {
    const { clock, server, get, holders, pass, close } = createWorld();
    await pass(1000);
    const leader = holders()[0] ?? "a";
    get(leader).delayMs = 300;
    const version = server.version;
    while (server.version === version) await clock.advance(STEP_MS);
    get(leader).stop();
    // Less than the lease lasts.
    await pass(2500);
    expect(server.holder).not.toBe(leader);
    await close();
  });

  it("lets never two act, however slow, stopped or drifting they are, and one again when all is well", async () => {
    const rate = fc.double({ min: 0.96, max: 1.04, noNaN: true });
    const step = fc.record({
      holder: fc.constantFrom(...HOLDERS),
      what: fc.constantFrom("pause" as const, "resume" as const, "slow" as const, "quick" as const),
      delayMs: fc.constantFrom(100, 700, 1400, 2500, 5000),
      thenMs: fc.constantFrom(STEP_MS, 500, 2000, 4500),
    });
    const property = fc.asyncProperty(
      fc.record({ a: rate, b: rate, c: rate }),
      fc.array(step, { minLength: 3, maxLength: 14 }),
      async (rates, steps) => {
        const { get, holders, pass, close } = createWorld(rates);
        await pass(1000);
        for (const { holder, what, delayMs, thenMs } of steps) {
          const replica = get(holder);
          if (what === "pause") replica.pause();
          if (what === "resume") replica.resume();
          if (what === "slow") replica.delayMs = delayMs;
          if (what === "quick") replica.delayMs = 10;
          await pass(thenMs);
        }
        for (const holder of HOLDERS) {
          get(holder).resume();
          get(holder).delayMs = 10;
        }
        await pass(20_000);
        expect(holders()).toHaveLength(1);
        await close();
      },
    );
    await fc.assert(property, { numRuns: 25 });
  });

  it("keeps one leader while all is well", async () => {
    const { get, holders, pass, close } = createWorld();
    await pass(1000);
    const [first] = holders();
    await pass(30_000);
    expect(holders()).toEqual([first]);
    expect(HOLDERS.map((holder) => get(holder).terms).toSorted((a, b) => a - b)).toEqual([0, 0, 1]);
    await close();
  });

  it("gives the lease up when it ends, and another takes it at once", async () => {
    const { get, holders, pass, close } = createWorld();
    await pass(1000);
    const [first] = holders();
    if (first !== undefined) get(first).stop();
    await pass(300);
    expect(holders()).toHaveLength(1);
    expect(holders()).not.toEqual([first]);
    await close();
  });

  it("ends the term when the lease cannot be renewed in time", async () => {
    const { get, holders, pass, close } = createWorld();
    await pass(1000);
    const [first = "a"] = holders();
    expect(get(first).isActing).toBe(true);
    get(first).delayMs = 60_000;
    await pass(3000);
    expect([get(first).leadership.isHeld, get(first).isActing]).toEqual([false, false]);
    await pass(2500);
    expect(holders()).toHaveLength(1);
    await close();
  });

  it("counts its time from before a renewal was sent, though its answer was seen late", async () => {
    const { get, holders, pass, close } = createWorld();
    await pass(1000);
    const [first = "a"] = holders();
    get(first).delayMs = 700;
    await pass(800);
    get(first).pause();
    await pass(6000);
    expect(holders()).toHaveLength(1);
    get(first).resume();
    await pass(1000);
    expect(holders()).not.toContain(first);
    await close();
  });

  it("counts only renewals that were answered", async () => {
    const { get, holders, pass, close } = createWorld();
    await pass(1000);
    const [first = "a"] = holders();
    get(first).losesAnswers = true;
    await pass(4000);
    expect([get(first).leadership.isHeld, get(first).isActing]).toEqual([false, false]);
    await close();
  });

  it("leaves the lease to whoever holds it", async () => {
    const { server, get, holders, pass, close } = createWorld();
    await pass(1000);
    const [first = "a"] = holders();
    for (let turn = 0; turn < 4; turn += 1) {
      server.give("somebody");
      await pass(2500);
      expect(server.holder).toBe("somebody");
    }
    expect([holders(), get(first).isActing]).toEqual([[], false]);
    await pass(6000);
    expect(holders()).toHaveLength(1);
    await close();
  });
});
