import { describe, expect, test } from "vitest";
import { createFlight } from "./image-flight.ts";

const never = new AbortController().signal;
const ignore = (): void => {};

describe("createFlight()", () => {
  test("runs the work once for all who wait and tells each its progress", async () => {
    let runs = 0;
    const heard: string[] = [];
    const flight = createFlight<number, string>(async (_signal, onProgress) => {
      onProgress("half");
      return (runs += 1);
    });
    const waiting = ["a", "b"].map((name) => flight.join(never, (progress) => heard.push(name + progress)));
    expect(await Promise.all(waiting)).toEqual([1, 1]);
    expect(heard).toEqual(["ahalf", "bhalf"]);
    expect(flight.live).toBe(false);
  });

  test("aborts the work when the last waiter leaves, not before", async () => {
    const begun = Promise.withResolvers<AbortSignal>();
    const flight = createFlight<void, never>((signal) => {
      begun.resolve(signal);
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    });
    const [first, last] = [new AbortController(), new AbortController()];
    const waiting = [flight.join(first.signal, ignore), flight.join(last.signal, ignore)];
    const outcomes = Promise.allSettled(waiting);
    const work = await begun.promise;
    first.abort(new Error("first"));
    await expect(waiting[0]).rejects.toThrow("first");
    expect([work.aborted, flight.live]).toEqual([false, true]);
    last.abort(new Error("last"));
    await outcomes;
    await flight.ended;
    expect([work.aborted, flight.live]).toEqual([true, false]);
  });

  test("rejects all who wait with the work's own failure", async () => {
    const flight = createFlight<void, never>(async () => {
      throw new Error("broken");
    });
    const waiting = [flight.join(never, ignore), flight.join(never, ignore)];
    for (const outcome of await Promise.allSettled(waiting))
      expect(outcome).toMatchObject({ reason: { message: "broken" } });
  });
});
