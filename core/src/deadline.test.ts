import { describe, expect, it } from "vitest";
import { createManualClock } from "../../test/harness/manual-clock.ts";
import { withDeadline } from "./deadline.ts";

const late = (): Error => new Error("too late");

/** Work that ends only at its signal, with an error of its own. */
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("the work's own error")), { once: true });
  });

describe("withDeadline()", () => {
  it("passes on what work brings, or throws, in time", async () => {
    const clock = createManualClock();
    const limit = { clock, timeoutMs: 1000, signal: new AbortController().signal, late };
    const fault = new Error("a fault");
    await expect(withDeadline(limit, async () => 7)).resolves.toBe(7);
    await expect(withDeadline(limit, () => Promise.reject(fault))).rejects.toBe(fault);
  });

  it("throws that it is late, whatever the work makes of its signal", async () => {
    const clock = createManualClock();
    const limit = { clock, timeoutMs: 1000, signal: new AbortController().signal, late };
    await expect(clock.runUntil(withDeadline(limit, untilAborted))).rejects.toThrow("too late");
  });

  it("throws the caller's reason when he gives up, before and during the work", async () => {
    const clock = createManualClock();
    const reason = new Error("enough");
    const abort = new AbortController();
    const limit = { clock, timeoutMs: 1000, signal: abort.signal, late };
    const working = withDeadline(limit, untilAborted);
    abort.abort(reason);
    await expect(working).rejects.toBe(reason);
    await expect(withDeadline(limit, async () => 7)).rejects.toBe(reason);
  });
});
