import { describe, expect, test } from "vitest";
import type { GatewayRecord } from "../gateway/gateway-record.ts";
import { down, type DownEvent, type DownPorts } from "./down.ts";

const RECORD = { pid: 42, url: "http://127.0.0.1:8080" } as GatewayRecord;

/** Sandboxes in memory; `stubborn` ones never go. */
function machine({ up = true, sandboxes = ["a", "b"], stubborn = false, boots = false, late = [] as string[] } = {}) {
  const coming = [...late];
  const events: DownEvent[] = [];
  const left = new Set(sandboxes);
  const state = { up, left, events };
  let nowMs = 0;
  const ports: DownPorts = {
    isRoot: true,
    clock: { now: () => nowMs, sleep: async (ms) => void (nowMs += ms) },
    tell: (event) => events.push(event),
    lock: async () => ({ release: async () => {} }),
    running: async () => (state.up ? RECORD : undefined),
    leftOvers: async () => left.size > 0 || boots,
    startQuietly: async () => {
      state.up = true;
      return RECORD;
    },
    stop: async () => {
      state.up = false;
      for (const id of coming.splice(0)) left.add(id);
    },
    listSandboxes: async () => [...left],
    removeSandbox: async (_, id) => void (stubborn || left.delete(id)),
  };
  return { state, ports };
}

describe("down()", () => {
  test("removes every sandbox, then stops the gateway", async () => {
    const { state, ports } = machine();
    expect(await down({ keepSandboxes: false }, ports)).toBe(0);
    expect([state.up, state.left.size]).toEqual([false, 0]);
    expect(state.events).toEqual([
      { event: "removing", sandboxes: 2 },
      { event: "down", sandboxesRemoved: 2, sandboxesKept: 0 },
    ]);
  });

  test("removes a sandbox too whose create the gateway answered while it stopped", async () => {
    const { state, ports } = machine({ late: ["c"] });
    expect(await down({ keepSandboxes: false }, ports)).toBe(0);
    expect([state.up, state.left.size]).toEqual([false, 0]);
    expect(state.events.at(-1)).toEqual({ event: "down", sandboxesRemoved: 3, sandboxesKept: 0 });
  });

  test("keeps sandboxes when told so", async () => {
    const { state, ports } = machine();
    expect(await down({ keepSandboxes: true }, ports)).toBe(0);
    expect([state.up, state.left.size]).toEqual([false, 2]);
    expect(state.events).toEqual([{ event: "down", sandboxesRemoved: 0, sandboxesKept: 2 }]);
  });

  test("removes sandboxes of a gateway that is gone, too", async () => {
    const { state, ports } = machine({ up: false });
    expect(await down({ keepSandboxes: false }, ports)).toBe(0);
    expect([state.up, state.left.size]).toEqual([false, 0]);
  });

  test("lets what was booted ahead be removed where no sandbox is left", async () => {
    const { state, ports } = machine({ up: false, sandboxes: [], boots: true });
    expect(await down({ keepSandboxes: false }, ports)).toBe(0);
    expect(state.events).toEqual([{ event: "down", sandboxesRemoved: 0, sandboxesKept: 0 }]);
  });

  test.each([
    { keepSandboxes: true, sandboxes: ["a"] },
    { keepSandboxes: false, sandboxes: [] },
  ])("is content when nothing is to be done: %o", async ({ keepSandboxes, sandboxes }) => {
    const { state, ports } = machine({ up: false, sandboxes });
    expect(await down({ keepSandboxes }, ports)).toBe(0);
    expect(state.events).toEqual([{ event: "not-up" }]);
  });

  test("gives up on sandboxes that stay, and leaves the gateway to be asked", async () => {
    const { state, ports } = machine({ stubborn: true });
    await expect(down({ keepSandboxes: false }, ports)).rejects.toThrow("2 sandboxes were not removed within 120 s");
    expect(state.up).toBe(true);
  });

  test("needs root", async () => {
    const { ports } = machine();
    await expect(down({ keepSandboxes: false }, { ...ports, isRoot: false })).rejects.toThrow(/^root is needed/);
  });
});
