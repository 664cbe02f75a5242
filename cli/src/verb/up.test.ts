import { describe, expect, test } from "vitest";
import type { Clock } from "#core/clock.ts";
import type { GatewayRecord } from "../gateway/gateway-record.ts";
import { up, type UpEvent, type UpPorts } from "./up.ts";

const RECORD: GatewayRecord = {
  pid: 42,
  startTicks: 1,
  bootId: "b",
  url: "http://127.0.0.1:8080",
  version: "0.1.0",
  startedAt: "2026-11-22T00:00:00.000Z",
  logFile: "/log",
};

const leave = (): void => {};

/** A machine in memory: the gateway is ready after a few polls. */
function machine(over: Partial<UpPorts> = {}) {
  const seen: string[] = [];
  const events: UpEvent[] = [];
  const stop = new AbortController();
  let nowMs = 0;
  let running: GatewayRecord | undefined;
  let polls = 0;
  const clock: Clock = { now: () => nowMs, sleep: async (ms) => void (nowMs += ms) };
  const ports: UpPorts = {
    isRoot: true,
    clock,
    signal: stop.signal,
    tell: (event) => events.push(event),
    lock: async () => {
      seen.push("lock");
      return { release: async () => void seen.push("release") };
    },
    running: async () => running,
    listenObstacle: async () => undefined,
    setUp: async () => void seen.push("set up"),
    start: async () => {
      seen.push("start");
      running = RECORD;
      return { record: RECORD, ended: new Promise<string>(() => {}), leave: () => void seen.push("leave") };
    },
    stop: async () => {
      seen.push("stop");
      running = undefined;
    },
    isReady: async () => ++polls > 3,
    runFirstSandbox: async () => "hello",
    countSandboxes: async () => 2,
    lastWords: async () => "address in use",
    ...over,
  };
  return { ports, seen, stop, names: () => events.map(({ event }) => event), events };
}

const detached = { detach: true, first: true };

describe("up()", () => {
  test("sets up, starts, proves and returns when detached, all under the lock", async () => {
    const { ports, seen, names } = machine();
    expect(await up(detached, ports)).toBe(0);
    expect(seen).toEqual(["lock", "set up", "start", "release", "leave"]);
    expect(names()).toEqual(["started", "ready", "first-sandbox", "usage"]);
  });

  test("does nothing when up already", async () => {
    const { ports, seen, names } = machine({ running: async () => RECORD });
    expect(await up(detached, ports)).toBe(0);
    expect([seen, names()]).toEqual([[], ["already-up"]]);
  });

  test("does nothing when another one brought it up while this one waited", async () => {
    let asked = 0;
    const { ports, seen, names } = machine({ running: async () => (++asked > 1 ? RECORD : undefined) });
    expect(await up(detached, ports)).toBe(0);
    expect([seen, names()]).toEqual([["lock", "release"], ["already-up"]]);
  });

  test("needs root before anything else", async () => {
    const { ports, seen } = machine({ isRoot: false });
    await expect(up(detached, ports)).rejects.toThrow(/^root is needed/);
    expect(seen).toEqual([]);
  });

  test("says that the port is taken before it sets up", async () => {
    const { ports, seen } = machine({ listenObstacle: async () => "port 8080 is taken" });
    await expect(up(detached, ports)).rejects.toThrow("port 8080 is taken");
    expect(seen).toEqual(["lock", "release"]);
  });

  test("says how the gateway ended when it never becomes ready", async () => {
    const ended = Promise.resolve("exit code 1");
    const { ports } = machine({ isReady: async () => false, start: async () => ({ record: RECORD, ended, leave }) });
    await expect(up(detached, ports)).rejects.toThrow(
      "the gateway ended (exit code 1): address in use; its log is /log",
    );
  });

  test("gives a gateway up that is not ready in time, and stops it", async () => {
    const { ports, seen } = machine({ isReady: async () => false });
    await expect(up(detached, ports)).rejects.toThrow("not ready within 60 s");
    expect(seen).toEqual(["lock", "set up", "start", "stop", "release"]);
  });

  test("stops the gateway when the first sandbox fails", async () => {
    const { ports, seen } = machine({ runFirstSandbox: async () => Promise.reject(new Error("no image\nat x")) });
    await expect(up(detached, ports)).rejects.toThrow("the first sandbox failed: no image");
    expect(seen.slice(-2)).toEqual(["stop", "release"]);
  });

  test("runs no first sandbox when told so", async () => {
    const { ports, names } = machine();
    await up({ detach: true, first: false }, ports);
    expect(names()).not.toContain("first-sandbox");
  });

  test("stays until Ctrl-C, then stops the gateway and says how many sandboxes go on", async () => {
    const { ports, stop, seen, events } = machine();
    const code = up(
      { detach: false, first: true },
      {
        ...ports,
        tell: (event) => {
          ports.tell(event);
          if (event.event === "usage") stop.abort(new Error("interrupted"));
        },
      },
    );
    expect(await code).toBe(0);
    expect(seen).toEqual(["lock", "set up", "start", "release", "stop"]);
    expect(events.at(-1)).toEqual({ event: "stopped", sandboxesLeft: 2 });
  });

  test.each([
    ["exit code 0", { value: 0 }],
    ["signal SIGKILL", { message: "the gateway ended (signal SIGKILL); its log is /log" }],
  ])("while it stays, a gateway that ends with %s decides the outcome", async (how, outcome) => {
    const { ports } = machine({
      start: async () => ({ record: RECORD, ended: Promise.resolve(how), leave }),
      isReady: async () => true,
    });
    const result = await up({ detach: false, first: false }, ports).then(
      (value) => ({ value }),
      (error: Error) => ({ message: error.message }),
    );
    expect(result).toEqual(outcome);
  });
});
