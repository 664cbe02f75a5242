import { describe, expect, test } from "vitest";
import { createFlight } from "./flight.ts";

const never = new AbortController().signal;

describe("createFlight()", () => {
  test("one who leaves ends it for nobody else, the last one ends it", async () => {
    let ending: AbortSignal | undefined;
    const done = Promise.withResolvers<string>();
    const flight = createFlight<string, number>((signal) => {
      ending = signal;
      return done.promise;
    });
    const [first, second] = [new AbortController(), new AbortController()];
    const joined = [flight.join(first.signal), flight.join(second.signal)];
    first.abort(new Error("first left"));
    await expect(joined[0]).rejects.toThrow("first left");
    expect([flight.isLive, ending?.aborted]).toEqual([true, false]);
    second.abort(new Error("second left"));
    await expect(joined[1]).rejects.toThrow("second left");
    expect([flight.isLive, ending?.aborted]).toEqual([false, true]);
    done.reject(new Error("over"));
    await flight.ended;
  });

  test("all who wait hear its progress and its outcome", async () => {
    const heard: number[] = [];
    const flight = createFlight<string, number>(async (_, tell) => {
      tell(1);
      return "done";
    });
    const tell = (progress: number): void => void heard.push(progress);
    expect(await Promise.all([flight.join(never, tell), flight.join(never, tell)])).toEqual(["done", "done"]);
    expect(heard).toEqual([1, 1]);
    expect(flight.isLive).toBe(false);
  });
});
