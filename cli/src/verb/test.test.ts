import { describe, expect, test } from "vitest";
import type { Suite } from "../test/suite.ts";
import type { SuiteResult } from "../test/suite-table.ts";
import { runTests, type TestPorts } from "./test.ts";

const suite = (name: string, needs: Suite["needs"] = "nothing"): Suite => ({
  name,
  title: name,
  budgetSeconds: 10,
  needs,
  quick: true,
  command: [],
  counting: "exit",
});

function world(over: Partial<TestPorts> & { results?: readonly SuiteResult[] } = {}) {
  const seen: { finished: readonly SuiteResult[]; setUps: number; stores: number; testbeds: number } = {
    finished: [],
    setUps: 0,
    stores: 0,
    testbeds: 0,
  };
  const ports: TestPorts = {
    isRoot: true,
    setUp: async () => void (seen.setUps += 1),
    prepareStores: async () => void (seen.stores += 1),
    bringUpTestbed: async () => void (seen.testbeds += 1),
    runSuite: async ({ name }) => ({
      result: { name, passed: 2, failed: 0, seconds: 1, budgetSeconds: 10 },
      output: "",
    }),
    report: { start() {}, line() {}, end() {}, finish: (results) => void (seen.finished = results) },
    signal: new AbortController().signal,
    ...over,
  };
  return { seen, ports };
}

describe("runTests()", () => {
  test("answers 0 when every suite passes, and sets up once", async () => {
    const { seen, ports } = world();
    expect(await runTests([suite("a"), suite("b", "setup"), suite("c", "setup")], ports)).toBe(0);
    expect(seen.setUps).toBe(1);
    expect(seen.finished.map((result) => result.passed)).toEqual([2, 2, 2]);
  });

  test("does not set up for suites that need nothing", async () => {
    const { seen, ports } = world();
    await runTests([suite("a"), suite("b", "root")], ports);
    expect(seen.setUps).toBe(0);
  });

  test("fails a suite that needs root when there is none", async () => {
    const { seen, ports } = world({ isRoot: false });
    expect(await runTests([suite("a"), suite("b", "root")], ports)).toBe(1);
    expect(seen.finished[1]).toMatchObject({ failed: 1, note: "needs root" });
  });

  test("fails each suite that needs a set-up that failed, and runs the others", async () => {
    const { seen, ports } = world({ setUp: async () => Promise.reject(new Error("no disk\n at x.ts:1")) });
    expect(await runTests([suite("a", "setup"), suite("b")], ports)).toBe(1);
    expect(seen.finished).toMatchObject([{ failed: 1, note: "set-up failed: no disk" }, { failed: 0 }]);
  });

  test("has the testbed up before each suite that needs it, after one set-up", async () => {
    const { seen, ports } = world();
    expect(await runTests([suite("a", "testbed"), suite("b", "setup"), suite("c", "testbed")], ports)).toBe(0);
    expect([seen.setUps, seen.testbeds]).toEqual([1, 2]);
  });

  test("has the stores built before a suite that needs them, and no testbed up", async () => {
    const { seen, ports } = world();
    expect(await runTests([suite("a", "stores")], ports)).toBe(0);
    expect([seen.setUps, seen.stores, seen.testbeds]).toEqual([1, 1, 0]);
  });

  test("has both before a suite that needs the platform", async () => {
    const { seen, ports } = world();
    expect(await runTests([suite("a", "platform")], ports)).toBe(0);
    expect([seen.setUps, seen.stores, seen.testbeds]).toEqual([1, 1, 1]);
    const without = world({ prepareStores: async () => Promise.reject(new Error("no Go")) });
    expect(await runTests([suite("a", "platform")], without.ports)).toBe(1);
    expect(without.seen.testbeds).toBe(0);
  });

  test("fails a suite whose stores cannot be built", async () => {
    const { seen, ports } = world({ prepareStores: async () => Promise.reject(new Error("no Go")) });
    expect(await runTests([suite("a", "stores")], ports)).toBe(1);
    expect(seen.finished).toMatchObject([{ failed: 1, note: "building stores failed: no Go" }]);
  });

  test("fails a suite whose testbed does not come up, and runs the others", async () => {
    const { seen, ports } = world({ bringUpTestbed: async () => Promise.reject(new Error("no veth")) });
    expect(await runTests([suite("a", "testbed"), suite("b", "setup")], ports)).toBe(1);
    expect(seen.finished).toMatchObject([{ failed: 1, note: "the testbed failed: no veth" }, { failed: 0 }]);
  });

  test("fails a suite whose program cannot start", async () => {
    const { seen, ports } = world({ runSuite: async () => Promise.reject(new Error("spawn x ENOENT")) });
    expect(await runTests([suite("a")], ports)).toBe(1);
    expect(seen.finished[0]).toMatchObject({ failed: 1, note: "did not start: spawn x ENOENT" });
  });

  test("fails when there is no suite to run", async () => {
    expect(await runTests([], world().ports)).toBe(1);
  });

  test("starts no suite after an interrupt and answers 130", async () => {
    const stop = new AbortController();
    const { seen, ports } = world({ signal: stop.signal });
    const first = {
      ...ports,
      runSuite: async (s: Suite, onLine: (line: string) => void) => {
        stop.abort();
        return ports.runSuite(s, onLine);
      },
    };
    expect(await runTests([suite("a"), suite("b")], first)).toBe(130);
    expect(seen.finished).toHaveLength(1);
  });
});
