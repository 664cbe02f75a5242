import { describe, expect, test } from "vitest";
import { createManualClock } from "../../test/harness/manual-clock.ts";
import type { Component, Probe } from "./component.ts";
import { createSupervisor, type Running } from "./supervisor.ts";

const socketOf = (name: string): Probe => ({ kind: "socket", path: name });
const component = (name: string, after: readonly string[] = []): Component => ({
  name,
  command: [name],
  probe: socketOf(name),
  after,
});

/** Programs that run until they are told to end; `deaf` ones end by SIGKILL alone. */
function node(components: readonly Component[], { deaf = [] as readonly string[] } = {}) {
  const clock = createManualClock();
  const healthy = new Set<string>();
  const log: string[] = [];
  let nextPid = 100;
  const ends = new Map<string, () => void>();
  const supervisor = createSupervisor(components, {
    clock,
    probe: async (probe) => probe.kind === "socket" && healthy.has(probe.path),
    start: ({ name }): Running => {
      const ended = Promise.withResolvers<void>();
      log.push(`start ${name}`);
      ends.set(name, ended.resolve);
      return {
        pid: (nextPid += 1),
        ended: ended.promise,
        kill: (signal) => {
          log.push(`${signal} ${name}`);
          if (signal === "SIGKILL" || !deaf.includes(name)) ended.resolve();
        },
      };
    },
  });
  const end = (name: string): void => ends.get(name)?.();
  return {
    supervisor,
    clock,
    healthy,
    log,
    end,
    starts: (name: string) => log.filter((line) => line === `start ${name}`).length,
  };
}

const forever = new AbortController().signal;

describe("createSupervisor()", () => {
  test("starts a component when those before it are healthy, and the others at once", async () => {
    const { supervisor, clock, healthy, log } = node([component("b", ["a"]), component("a"), component("c")]);
    const running = supervisor.run(forever);
    await clock.advance(1_000);
    expect(log).toEqual(["start a", "start c"]);
    expect((await supervisor.status()).find(({ name }) => name === "b")).toMatchObject({
      state: "waiting",
      healthy: false,
    });
    healthy.add("a");
    await clock.runUntil(running);
    expect(log).toEqual(["start a", "start c", "start b"]);
  });

  test("refuses to wait for a component that nobody knows", async () => {
    await expect(node([component("a", ["z"])]).supervisor.run(forever)).rejects.toThrow('no component "z"');
  });

  test("starts what ends again, each time later, and at once after a steady life", async () => {
    const { supervisor, clock, end, starts } = node([component("a")]);
    await supervisor.run(forever);
    const startAfter = async (ms: number): Promise<boolean> => {
      const before = starts("a");
      end("a");
      await clock.advance(ms - 1);
      const tooSoon = starts("a") > before;
      await clock.advance(1);
      return !tooSoon && starts("a") === before + 1;
    };
    for (const ms of [100, 200, 400, 800, 1_600, 2_000, 2_000]) expect([ms, await startAfter(ms)]).toEqual([ms, true]);
    await clock.advance(10_000);
    expect(await startAfter(50)).toBe(true);
    expect((await supervisor.status())[0]).toMatchObject({ state: "running", restarts: 8 });
  });

  test("counts only restarts that nobody asked for", async () => {
    const { supervisor, clock } = node([component("a")]);
    await supervisor.run(forever);
    await supervisor.stop("a");
    supervisor.start("a");
    expect((await supervisor.status())[0]).toMatchObject({ state: "running", restarts: 0, pid: 102 });
    expect(supervisor.kill("a", "SIGKILL")).toBe(true);
    await clock.settle();
    expect((await supervisor.status())[0]).toMatchObject({ state: "restarting", healthy: false });
    await clock.advance(1_000);
    expect((await supervisor.status())[0]).toMatchObject({ state: "running", restarts: 1, pid: 103 });
  });

  test("keeps down what is stopped, also when it is stopped while it waits for its next start", async () => {
    const { supervisor, clock, end, starts } = node([component("a")]);
    await supervisor.run(forever);
    end("a");
    await clock.settle();
    await supervisor.stop("a");
    await clock.advance(60_000);
    expect(starts("a")).toBe(1);
    expect((await supervisor.status())[0]).toMatchObject({ state: "stopped" });
    supervisor.start("a");
    supervisor.start("a");
    expect(starts("a")).toBe(2);
  });

  test("kills what does not end when it is asked to", async () => {
    const { supervisor, clock, log } = node([component("a")], { deaf: ["a"] });
    await supervisor.run(forever);
    await clock.runUntil(supervisor.stop("a"));
    expect(log).toEqual(["start a", "SIGTERM a", "SIGKILL a"]);
  });

  test("says so when there is no such component, or it does not run", async () => {
    const { supervisor } = node([component("a")]);
    expect([supervisor.kill("z", "SIGTERM"), supervisor.start("z"), await supervisor.stop("z")]).toEqual([
      false,
      false,
      false,
    ]);
    expect(supervisor.kill("a", "SIGTERM")).toBe(false);
  });
});
