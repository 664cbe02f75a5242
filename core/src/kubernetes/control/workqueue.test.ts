import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createWorkqueue } from "./workqueue.ts";

type Step =
  | { readonly kind: "add"; readonly key: string }
  | { readonly kind: "take" }
  | { readonly kind: "done"; readonly pick: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom("a", "b", "c", "d").map((key) => ({ kind: "add" as const, key })),
  fc.constant({ kind: "take" as const }),
  fc.nat(9).map((pick) => ({ kind: "done" as const, pick })),
);

describe("createWorkqueue()", () => {
  it("loses no key, gives none to two workers, and keeps the line's order", async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const queue = createWorkqueue();
      /** The model: keys in line in their order, keys at work and whether they were added meanwhile. */
      const line: string[] = [];
      const working = new Map<string, boolean>();
      const waiting: { taken?: string | undefined }[] = [];
      const expected: string[] = [];
      const got: string[] = [];

      const serve = (): void => {
        while (waiting.length > 0 && line.length > 0) {
          const key = line.shift() ?? "";
          waiting.shift();
          working.set(key, false);
          expected.push(key);
        }
      };
      for (const step of steps) {
        if (step.kind === "add") {
          queue.add(step.key);
          if (working.has(step.key)) working.set(step.key, true);
          else if (!line.includes(step.key)) line.push(step.key);
        } else if (step.kind === "take") {
          waiting.push({});
          void queue.take().then((key) => got.push(key ?? "the end"));
        } else {
          const key = [...working.keys()][step.pick % Math.max(1, working.size)];
          if (key === undefined) continue;
          queue.done(key);
          if (working.get(key)) line.push(key);
          working.delete(key);
        }
        serve();
        await Promise.resolve();
        await Promise.resolve();
        expect(got).toEqual(expected);
        expect(queue.active).toBe(working.size);
        expect(queue.depth).toBe(line.length + [...working.values()].filter(Boolean).length);
      }
    });
    await fc.assert(property, { numRuns: 500 });
  });

  it("empties the line when it is shut, what workers have and was added meanwhile included, then ends", async () => {
    const queue = createWorkqueue();
    queue.add("a");
    queue.add("b");
    expect(await queue.take()).toBe("a");
    queue.add("a");
    const idle = [queue.take(), queue.take(), queue.take()];
    queue.shut();
    queue.add("late");
    expect(await idle[0]).toBe("b");
    queue.done("a");
    expect(await idle[1]).toBe("a");
    expect(await idle[2]).toBeUndefined();
    expect(await queue.take()).toBeUndefined();
  });

  it("says how long a key stood in line", async () => {
    let nowMs = 0;
    const waits: number[] = [];
    const queue = createWorkqueue({ now: () => nowMs, waited: (waitMs) => waits.push(waitMs) });
    queue.add("a");
    nowMs = 5;
    queue.add("a");
    nowMs = 7;
    await queue.take();
    const waiting = queue.take();
    queue.add("b");
    await waiting;
    expect(waits).toEqual([7, 0]);
  });
});
