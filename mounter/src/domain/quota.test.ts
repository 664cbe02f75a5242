import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createQuota, type GiveBack } from "./quota.ts";

const never = new AbortController().signal;

describe("createQuota()", () => {
  test("gives at once only what nobody waits for", async () => {
    const quota = createQuota(10);
    const first = quota.tryTake(6);
    expect([quota.tryTake(5), quota.taken]).toEqual([undefined, 6]);
    const waiting = quota.take(5, never);
    // Less is left, but another was there before.
    expect(quota.tryTake(1)).toBeUndefined();
    first?.();
    (await waiting)();
    expect(quota.tryTake(11)).toBeUndefined();
    quota.tryTake(10)?.();
    expect(quota.taken).toBe(0);
  });

  test("never gives more than there is, admits in order, and comes to rest", async () => {
    const asks = fc.array(fc.record({ amount: fc.nat(10), leaves: fc.boolean() }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(asks, async (all) => {
        const quota = createQuota(10);
        const held: GiveBack[] = [];
        const admitted: number[] = [];
        const asking = all.map(({ amount, leaves }, index) => {
          const abort = new AbortController();
          const turn = quota.take(amount, abort.signal).then(
            (giveBack) => {
              admitted.push(index);
              held.push(giveBack);
            },
            () => undefined,
          );
          if (leaves) abort.abort(new Error("left"));
          return turn;
        });
        for (let round = 0; round <= all.length; round += 1) {
          await new Promise((resolve) => setImmediate(resolve));
          expect(quota.taken).toBeLessThanOrEqual(10);
          const giveBack = held.shift();
          giveBack?.();
          giveBack?.();
        }
        await Promise.all(asking);
        held.forEach((giveBack) => giveBack());
        expect([quota.taken, quota.waiting]).toEqual([0, 0]);
        expect(admitted).toEqual(admitted.toSorted((a, b) => a - b));
        all.forEach(({ leaves }, index) => expect(leaves || admitted.includes(index)).toBe(true));
      }),
    );
  });

  test("refuses what can never be given", async () => {
    await expect(createQuota(3).take(4, never)).rejects.toBeInstanceOf(RangeError);
  });

  test("who leaves makes way for those behind", async () => {
    const quota = createQuota(3);
    await quota.take(2, never);
    const abort = new AbortController();
    const large = quota.take(3, abort.signal);
    const small = quota.take(1, never);
    abort.abort(new Error("left"));
    await expect(large).rejects.toThrow("left");
    await small;
    expect(quota.taken).toBe(3);
  });
});
