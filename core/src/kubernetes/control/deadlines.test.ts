import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createDeadlines } from "./deadlines.ts";

describe("createDeadlines()", () => {
  it("calls back once for the last moment set of each key, at that moment, in order", async () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 30 }).map(String),
      inMs: fc.option(fc.integer({ min: 0, max: 40_000 }), { nil: undefined }),
      thenMs: fc.constantFrom(0, 0, 0, 700, 9000),
    });
    const property = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clock = createManualClock(0);
      const due: [string, number][] = [];
      const deadlines = createDeadlines(clock, (key) => due.push([key, clock.now()]));
      const abort = new AbortController();
      const running = deadlines.run(abort.signal);
      const model = new Map<string, number>();
      const expected: [string, number][] = [];
      const pass = (untilMs: number): void => {
        const over = [...model].filter(([, atMs]) => atMs <= untilMs);
        for (const [key, atMs] of over) {
          expected.push([key, atMs]);
          model.delete(key);
        }
      };
      for (const { key, inMs, thenMs } of steps) {
        if (inMs === undefined) {
          deadlines.clear(key);
          model.delete(key);
        } else {
          deadlines.set(key, clock.now() + inMs);
          model.set(key, clock.now() + inMs);
        }
        await clock.advance(thenMs);
        pass(clock.now());
        expect(deadlines.size).toBe(model.size);
      }
      await clock.advance(50_000);
      pass(clock.now());
      const sorted = (list: [string, number][]) => list.toSorted(([a, x], [b, y]) => x - y || a.localeCompare(b));
      expect(sorted(due)).toEqual(sorted(expected));
      expect(due.map(([, atMs]) => atMs)).toEqual(due.map(([, atMs]) => atMs).toSorted((a, b) => a - b));
      abort.abort();
      await running;
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it("goes on with the others when one moment is none, and lets that key alone", async () => {
    const clock = createManualClock(0);
    const due: string[] = [];
    const deadlines = createDeadlines(clock, (key) => due.push(key));
    const abort = new AbortController();
    deadlines.set("a", 1000);
    deadlines.set("odd", 500);
    deadlines.set("odd", Number.NaN);
    deadlines.set("b", 2000);
    const running = deadlines.run(abort.signal);
    await clock.advance(5000);
    expect(due).toEqual(["a", "b"]);
    expect(deadlines.size).toBe(0);
    abort.abort();
    await running;
  });

  it("forgets replaced moments", async () => {
    const clock = createManualClock(0);
    const deadlines = createDeadlines(clock, () => undefined);
    for (let i = 0; i < 10_000; i += 1) deadlines.set(`k${i % 3}`, 1_000_000 + i);
    expect(deadlines.size).toBe(3);
  });
});
