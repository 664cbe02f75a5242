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
