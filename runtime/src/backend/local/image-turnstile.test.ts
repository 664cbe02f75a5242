import { describe, expect, test } from "vitest";
import { createTurnstile } from "./image-turnstile.ts";

const never = new AbortController().signal;

describe("createTurnstile()", () => {
  test("lets as many in as it is wide, the others in order", async () => {
    const turnstile = createTurnstile(2);
    const order: number[] = [];
    const enter = async (index: number): Promise<() => void> => {
      const leave = await turnstile.enter(never);
      order.push(index);
      return leave;
    };
    const [first, second, third, fourth] = [enter(1), enter(2), enter(3), enter(4)];
    (await second)();
    await third;
    expect(order).toEqual([1, 2, 3]);
    (await first)();
    await fourth;
    expect(order).toEqual([1, 2, 3, 4]);
  });

  test("lets in at once only where nobody has to wait", async () => {
    const turnstile = createTurnstile(1);
    const leave = turnstile.tryEnter();
    expect([typeof leave, turnstile.tryEnter()]).toEqual(["function", undefined]);
    const waiting = turnstile.enter(never);
    leave?.();
    // The place is that of who waited.
    expect(turnstile.tryEnter()).toBeUndefined();
    (await waiting)();
    turnstile.tryEnter()?.();
    expect(createTurnstile(0).tryEnter()).toBeUndefined();
  });

  test("a waiter that gives up takes no place, and leaving twice frees one place", async () => {
    const turnstile = createTurnstile(1);
    const leave = await turnstile.enter(never);
    const impatient = new AbortController();
    const given = turnstile.enter(impatient.signal);
    impatient.abort(new Error("enough"));
    await expect(given).rejects.toThrow("enough");
    const next = turnstile.enter(never);
    leave();
    leave();
    await next;
    let entered = false;
    const last = turnstile.enter(never).then(() => (entered = true));
    await Promise.resolve();
    expect(entered).toBe(false);
    (await next)();
    await last;
  });
});
