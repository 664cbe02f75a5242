import { describe, expect, test } from "vitest";
import { createLargeArchives } from "./large-archives.ts";

const { signal } = new AbortController();

describe("createLargeArchives()", () => {
  test("lets one large archive at a time into memory, small ones beside it, and no one twice", async () => {
    const large = createLargeArchives(100);
    const [first, second, small] = [large.enter(signal), large.enter(signal), large.enter(signal)];
    await first.fits(101);
    await first.fits(500);
    await small.fits(100);
    let isIn = false;
    const waiting = second.fits(101).then(() => (isIn = true));
    small[Symbol.dispose]();
    await small.fits(100);
    expect(isIn).toBe(false);
    first[Symbol.dispose]();
    await waiting;
    second[Symbol.dispose]();
    await large.enter(signal).fits(101);
  });

  test("holds up nobody for one that still comes", async () => {
    const large = createLargeArchives(1);
    const whole = Promise.withResolvers<void>();
    const coming = large.enter(signal, () => whole.promise);
    await coming.fits(1);
    let isIn = false;
    const waiting = coming.fits(2).then(() => (isIn = true));
    const here = large.enter(signal);
    await here.fits(2);
    whole.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(isIn).toBe(false);
    here[Symbol.dispose]();
    await waiting;
    const lost = large.enter(signal, () => Promise.reject(new Error("it does not come")));
    await expect(lost.fits(2)).rejects.toThrow("it does not come");
    coming[Symbol.dispose]();
    await large.enter(signal).fits(2);
  });

  test("holds nothing for one that left while it waited", async () => {
    const large = createLargeArchives(1);
    using first = large.enter(signal);
    await first.fits(2);
    const leaving = new AbortController();
    const second = large.enter(leaving.signal);
    const waiting = second.fits(2);
    leaving.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    second[Symbol.dispose]();
    first[Symbol.dispose]();
    await large.enter(signal).fits(2);
  });
});
