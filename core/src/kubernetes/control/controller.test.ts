import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { silentLog } from "#core/log.ts";
import { createController, type ControllerOptions } from "./controller.ts";
import { TerminalError, type Reconcile, type ReconcileOutcome } from "./reconcile.ts";

function start(reconcile: Reconcile, options: Partial<ControllerOptions> = {}) {
  const clock = createManualClock(0);
  const outcomes: ReconcileOutcome[] = [];
  const controller = createController(reconcile, {
    clock,
    log: silentLog,
    random: () => 0,
    concurrency: 2,
    observer: { reconciled: (outcome) => outcomes.push(outcome), waited: () => undefined },
    ...options,
  });
  const abort = new AbortController();
  const running = controller.run(abort.signal);
  const stop = async (): Promise<void> => {
    abort.abort(new Error("over"));
    await clock.runUntil(running);
  };
  return { clock, controller, outcomes, abort, running, stop };
}

describe("createController()", () => {
  it("acts on the newest state of each key in the end, never twice at once, whatever fails", async () => {
    const keys = ["a", "b", "c"];
    const change = fc.record({ key: fc.constantFrom(...keys), pauseMs: fc.constantFrom(0, 0, 1, 30) });
    const property = fc.asyncProperty(
      fc.array(change, { maxLength: 30 }),
      fc.infiniteStream(fc.constantFrom("ok", "ok", "slow", "fail", "requeue")),
      async (changes, fates) => {
        const wanted = new Map<string, number>();
        const acted = new Map<string, number>();
        const active = new Set<string>();
        let budget = 60;
        let overlaps = 0;
        const world = start(async (key, signal) => {
          if (active.has(key) || active.size >= 2) overlaps += 1;
          active.add(key);
          try {
            const seen = wanted.get(key) ?? 0;
            const fate = (budget -= 1) > 0 ? fates.next().value : "ok";
            if (fate === "slow") await world.clock.sleep(20, signal);
            if (fate === "fail") throw new Error("a passing fault");
            if (fate === "requeue") return { requeueAtMs: world.clock.now() + 10 };
            acted.set(key, seen);
            return {};
          } finally {
            active.delete(key);
          }
        });
        for (const { key, pauseMs } of changes) {
          wanted.set(key, (wanted.get(key) ?? 0) + 1);
          world.controller.enqueue(key);
          await world.clock.advance(pauseMs);
        }
        await world.clock.advance(600_000);
        expect(overlaps).toBe(0);
        expect(Object.fromEntries(acted)).toEqual(Object.fromEntries(wanted));
        expect([world.controller.depth, world.controller.active, world.controller.scheduled]).toEqual([0, 0, 0]);
        await world.stop();
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it("pauses longer after each failure of a key, up to a most, and starts afresh after a success", async () => {
    const at: number[] = [];
    let mayWork = false;
    const { clock, controller, stop } = start(async () => {
      at.push(clock.now());
      if (!mayWork) throw new Error("a fault");
      return {};
    });
    controller.enqueue("a");
    await clock.advance(200_000);
    const pauses = at.slice(1).map((moment, i) => moment - (at[i] ?? 0));
    expect(pauses.slice(0, 4)).toEqual([50, 100, 200, 400]);
    expect(pauses.at(-1)).toBe(60_000);
    mayWork = true;
    await clock.advance(60_000);
    mayWork = false;
    at.length = 0;
    controller.enqueue("a");
    await clock.advance(60);
    expect(at[1]).toBe((at[0] ?? 0) + 50);
    await stop();
  });

  it("leaves a key whose error is terminal until it changes", async () => {
    let count = 0;
    const { clock, controller, outcomes, stop } = start(async () => {
      count += 1;
      throw new TerminalError("hopeless");
    });
    controller.enqueue("a");
    await clock.advance(1_000_000);
    expect(count).toBe(1);
    controller.enqueue("a");
    await clock.advance(1);
    expect(outcomes).toEqual(["terminal", "terminal"]);
    await stop();
  });

  it("comes back at the moment that the last result names, and only then", async () => {
    const at: number[] = [];
    const results = [{ requeueAtMs: 1000 }, { requeueAtMs: 5000 }, {}];
    const { clock, controller, stop } = start(async () => {
      at.push(clock.now());
      return results[at.length - 1] ?? {};
    });
    controller.enqueue("a");
    await clock.advance(500);
    controller.enqueue("a");
    await clock.advance(100_000);
    expect(at).toEqual([0, 500, 5000]);
    await stop();
  });

  it("aborts a reconcile that takes too long, and tries again", async () => {
    let count = 0;
    const { clock, controller, outcomes, stop } = start(
      async (_key, signal) => {
        count += 1;
        if (count === 1) await clock.sleep(1_000_000, signal);
        return {};
      },
      { reconcileTimeoutMs: 1000 },
    );
    controller.enqueue("a");
    await clock.advance(2000);
    expect(outcomes).toEqual(["retried", "done"]);
    await stop();
  });

  it("lets what runs come to its end at a shutdown, and begins nothing more", async () => {
    const begun: string[] = [];
    const ended: string[] = [];
    const { clock, controller, abort, running } = start(async (key) => {
      begun.push(key);
      await clock.sleep(100);
      ended.push(key);
      return {};
    });
    for (const key of ["a", "b", "c"]) controller.enqueue(key);
    await clock.settle();
    abort.abort(new Error("over"));
    await clock.runUntil(running);
    expect([begun, ended]).toEqual([
      ["a", "b"],
      ["a", "b"],
    ]);
  });
});
