import { describe, expect, it } from "vitest";
import type { Clock } from "#core/clock.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import { writeCertainly } from "./certain-write.ts";

/** Sleeps of less than ten seconds are over at once, the others never. */
const clock: Clock = {
  now: () => 0,
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      if (ms < 10_000) resolve();
    }),
};
const noAnswer = new KubeError(0, "cut", { reason: "NoAnswer" });

/** Does these in turn: throws an error, gives anything else. */
async function write(turns: readonly unknown[], mayRepeat = false): Promise<unknown> {
  const left = [...turns];
  const act = async (): Promise<unknown> => {
    const turn = left.shift();
    if (turn instanceof Error) throw turn;
    return turn;
  };
  const { signal } = new AbortController();
  return writeCertainly({ clock, signal, mayRepeat, act }).catch((error: { slug?: string }) => error.slug ?? error);
}

describe("writeCertainly()", () => {
  it("makes a write again whose answer was lost", async () => {
    expect(await write([noAnswer, new KubeError(500, "etcd"), "made"])).toBe("made");
  });

  it("hands a refusal on at once", async () => {
    expect(await write([new KubeError(403, "no"), "made"])).toBe("not-permitted");
    expect(await write([new KubeError(0, "", { reason: "Unsent" }), "made"])).toBe("unavailable");
  });

  it.each([429, 403, 401])("never says that nothing was done when a lost attempt is followed by %i", async (status) => {
    expect(await write([noAnswer, new KubeError(status, "")])).toBe("internal");
    expect(await write([noAnswer, new KubeError(status, "")], true)).toBe("unavailable");
  });

  it("knows that what is refused for what it says was refused before, too", async () => {
    expect(await write([noAnswer, new KubeError(422, "invalid")])).toBe("validation-failed");
  });

  it("gives up when the time is over, and says that the outcome is not known", async () => {
    // Only the long wait for the deadline ever ends.
    const over: Clock = {
      now: () => 0,
      sleep: (ms, aborted) => (ms < 10_000 ? clock.sleep(Infinity, aborted) : Promise.resolve()),
    };
    const { signal } = new AbortController();
    const act = (bounded: AbortSignal): Promise<never> =>
      new Promise((_, reject) => bounded.addEventListener("abort", () => reject(bounded.reason), { once: true }));
    await expect(writeCertainly({ clock: over, signal, mayRepeat: false, act })).rejects.toMatchObject({
      slug: "internal",
    });
  });

  it("ends with the caller's reason when the caller goes away", async () => {
    const caller = new AbortController();
    const act = (bounded: AbortSignal): Promise<never> =>
      new Promise((_, reject) => bounded.addEventListener("abort", () => reject(bounded.reason), { once: true }));
    const writing = writeCertainly({ clock, signal: caller.signal, mayRepeat: false, act });
    caller.abort(new Error("gone away"));
    await expect(writing).rejects.toThrow("gone away");
  });
});
