import { afterEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "./clock.ts";

describe("systemClock.sleep()", () => {
  afterEach(() => void vi.useRealTimers());

  it("sleeps longer than one timer can", async () => {
    vi.useFakeTimers();
    let isOver = false;
    const sleeping = systemClock.sleep(5_000_000_000).then(() => (isOver = true));
    await vi.advanceTimersByTimeAsync(4_999_999_999);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await sleeping;
  });

  it("rejects with the signal's reason, before and during the sleep", async () => {
    const reason = new Error("enough");
    await expect(systemClock.sleep(1000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const abort = new AbortController();
    const sleeping = systemClock.sleep(60_000, abort.signal);
    abort.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  });
});
