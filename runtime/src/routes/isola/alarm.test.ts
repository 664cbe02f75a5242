import { describe, expect, it } from "vitest";
import { createManualClock } from "../../../../test/harness/manual-clock.ts";
import { createAlarm, LATE } from "./alarm.ts";

/** A clock that counts its timers. */
function countingClock() {
  const clock = createManualClock();
  let timers = 0;
  return {
    ...clock,
    timers: () => timers,
    sleep(ms: number, signal?: AbortSignal) {
      timers += 1;
      return clock.sleep(ms, signal);
    },
  };
}

const never = (): Promise<never> => new Promise<never>(() => undefined);

describe("createAlarm", () => {
  it("answers with the work's outcome when it comes in time", async () => {
    const clock = createManualClock();
    const alarm = createAlarm(clock);
    expect(await alarm.within(Promise.resolve(1), clock.now() + 10)).toBe(1);
    await expect(alarm.within(Promise.reject(new Error("no")), clock.now() + 10)).rejects.toThrow("no");
  });

  it("is late exactly when the time has come, also after waits that ended early", async () => {
    const clock = createManualClock();
    const alarm = createAlarm(clock);
    await alarm.within(Promise.resolve(), clock.now() + 1000);
    await clock.advance(600);
    let outcome: unknown;
    const waiting = alarm.within(never(), clock.now() + 1000).then((value) => (outcome = value));
    await clock.advance(999);
    expect(outcome).toBeUndefined();
    await clock.advance(1);
    await waiting;
    expect(outcome).toBe(LATE);
  });

  it("takes a nearer time than the one before", async () => {
    const clock = createManualClock();
    const alarm = createAlarm(clock);
    await alarm.within(Promise.resolve(), clock.now() + 1000);
    const waiting = alarm.within(never(), clock.now() + 10);
    await clock.advance(10);
    expect(await waiting).toBe(LATE);
  });

  it("sets one timer for a thousand waits", async () => {
    const clock = countingClock();
    const alarm = createAlarm(clock);
    for (let i = 0; i < 1000; i += 1) await alarm.within(Promise.resolve(), clock.now() + 1000);
    expect(clock.timers()).toBe(1);
  });

  it("says nothing while nobody waits, and can be asked again", async () => {
    const clock = createManualClock();
    const alarm = createAlarm(clock);
    await alarm.within(Promise.resolve(), clock.now() + 10);
    await clock.advance(100);
    const waiting = alarm.within(never(), clock.now() + 10);
    await clock.advance(10);
    expect(await waiting).toBe(LATE);
    alarm.stop();
  });
});
