import { describe, expect, test } from "vitest";
import { inOrder } from "./in-order.ts";

async function* numbers(count: number): AsyncGenerator<number> {
  for (let at = 0; at < count; at += 1) yield at;
}

describe("inOrder()", () => {
  test("works on so many at once, never more, and gives the results in the order of the items", async () => {
    const done: number[] = [];
    const results: number[] = [];
    const waiting: { readonly item: number; readonly end: () => void }[] = [];
    let most = 0;
    const work = (item: number): Promise<number> =>
      new Promise((resolve) => {
        waiting.push({ item, end: () => resolve(item) });
        most = Math.max(most, waiting.length);
        // The last that came ends first.
        if (waiting.length === 3 || item >= 8)
          for (const each of waiting.splice(0).toReversed()) {
            done.push(each.item);
            each.end();
          }
      });
    for await (const result of inOrder(numbers(9), 3, work)) results.push(result);
    expect(results).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(done).not.toEqual(results);
    expect(most).toBe(3);
  });

  test("tells the first fault in the order of the items, when all work has come to rest", async () => {
    let under = 0;
    const later = Promise.withResolvers<void>();
    const work = async (item: number): Promise<number> => {
      under += 1;
      try {
        if (item === 2) throw new Error("two is wrong");
        if (item === 3) await later.promise;
        return item;
      } finally {
        under -= 1;
      }
    };
    const results: number[] = [];
    const read = (async () => {
      for await (const result of inOrder(numbers(9), 4, work)) results.push(result);
    })();
    read.catch(() => undefined);
    await expect.poll(() => results).toEqual([0, 1]);
    expect(under).toBe(1);
    later.resolve();
    await expect(read).rejects.toThrow("two is wrong");
    expect(under).toBe(0);
  });
});
