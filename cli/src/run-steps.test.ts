import { describe, expect, test } from "vitest";
import { silentLog } from "#core/log.ts";
import { runSteps, type StepEvent } from "./run-steps.ts";
import type { SetupStep } from "./setup/step.ts";

/** A step that is needed until it has run. */
function step(name: string, done: Set<string>, run: SetupStep["run"] = async () => {}): SetupStep {
  return {
    name,
    title: name.toUpperCase(),
    check: async () => ({ needed: !done.has(name), reason: done.has(name) ? "there" : "absent" }),
    run: async (context) => {
      await run(context);
      done.add(name);
    },
  };
}

function harness() {
  const events: StepEvent[] = [];
  let nowMs = 0;
  const clock = { now: () => (nowMs += 10), sleep: async () => {} };
  const stop = new AbortController();
  const context = { home: "/h", repo: "/r", signal: stop.signal, log: silentLog };
  const run = (steps: readonly SetupStep[]): Promise<void> =>
    runSteps(steps, context, { clock, emit: (event) => events.push(event) });
  return { events, run, stop, kinds: () => events.map(({ kind, step: name }) => `${name} ${kind}`) };
}

describe("runSteps()", () => {
  test("runs what is needed, in order, and reports progress", async () => {
    const { events, run, kinds } = harness();
    const done = new Set(["a"]);
    await run([step("a", done), step("b", done, async ({ progress }) => progress({ fraction: 0.5 })), step("c", done)]);
    expect(kinds()).toEqual(["a present", "b start", "b progress", "b done", "c start", "c done"]);
    expect(events[2]).toMatchObject({ title: "B", progress: { fraction: 0.5 }, elapsedMs: expect.any(Number) });
  });

  test("goes on after a failure where it stopped", async () => {
    const { run, kinds } = harness();
    const done = new Set<string>();
    const broken = step("b", done, async () => Promise.reject(new Error("no net")));
    await expect(run([step("a", done), broken, step("c", done)])).rejects.toThrow("no net");
    await run([step("a", done), step("b", done), step("c", done)]);
    expect(kinds()).toEqual([
      "a start",
      "a done",
      "b start",
      "b failed",
      "a present",
      "b start",
      "b done",
      "c start",
      "c done",
    ]);
  });

  test("starts no step after an abort", async () => {
    const { run, stop, kinds } = harness();
    const done = new Set<string>();
    await expect(run([step("a", done, async () => stop.abort(new Error("stop"))), step("b", done)])).rejects.toThrow(
      "stop",
    );
    expect(kinds()).toEqual(["a start", "a done"]);
  });

  test("runs steps that are objects with a life of their own", async () => {
    class Counted implements SetupStep {
      readonly name = "counted";
      readonly title = "Counted";
      runs = 0;
      async check() {
        return { needed: this.runs === 0 };
      }
      async run() {
        this.runs += 1;
      }
    }
    const counted = new Counted();
    const { run } = harness();
    await run([counted]);
    await run([counted]);
    expect(counted.runs).toBe(1);
  });
});
