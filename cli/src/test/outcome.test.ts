import { describe, expect, test } from "vitest";
import { readOutcome, type Ended } from "./outcome.ts";

const ended = (over: Partial<Ended> = {}): Ended => ({ exitCode: 0, timedOut: false, output: "", ...over });
const report = (over: Record<string, number> = {}): string =>
  JSON.stringify({
    numPassedTests: 5,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    numFailedTestSuites: 0,
    ...over,
  });

describe("readOutcome()", () => {
  test.each([
    ["exit", ended(), { passed: 1, failed: 0 }],
    ["exit", ended({ exitCode: 3 }), { passed: 0, failed: 1 }],
    ["tally", ended({ output: "x\n3 passed, 0 failed\n" }), { passed: 3, failed: 0 }],
    ["tally", ended({ output: "1 passed, 0 failed\n9 passed, 2 failed\n", exitCode: 1 }), { passed: 9, failed: 2 }],
    ["pytest", ended({ output: "==== 4 passed in 0.31s ====" }), { passed: 4, failed: 0 }],
    ["pytest", ended({ output: "==== 102 passed, 3 warnings in 61.20s (0:01:01) ====" }), { passed: 102, failed: 0 }],
    ["pytest", ended({ output: "= 1 failed, 4 passed, 1 error in 3.2s =", exitCode: 1 }), { passed: 4, failed: 2 }],
    ["pytest", ended({ output: "4 passed, 2 skipped in 3.2s" }), { passed: 4, failed: 2, note: "2 skipped" }],
    ["vitest", ended({ report: report() }), { passed: 5, failed: 0 }],
    ["vitest", ended({ report: report({ numFailedTests: 2 }), exitCode: 1 }), { passed: 5, failed: 2 }],
    ["vitest", ended({ report: report({ numFailedTestSuites: 1 }), exitCode: 1 }), { passed: 5, failed: 1 }],
    ["vitest", ended({ report: report({ numPendingTests: 1 }) }), { passed: 5, failed: 1, note: "1 skipped" }],
  ] as const)("counts %s from %o", (counting, process, outcome) => {
    expect(readOutcome(counting, process)).toEqual(outcome);
  });

  test.each([
    ["tally", ended({ output: "0 passed, 0 failed" }), "ran no test"],
    ["vitest", ended({ report: report({ numPassedTests: 0 }) }), "ran no test"],
    ["tally", ended({ output: "all is well" }), "no counts found (exit code 0)"],
    ["pytest", ended({ output: "no tests ran in 0.01s", exitCode: 5 }), "no counts found (exit code 5)"],
    ["vitest", ended(), "no counts found (exit code 0)"],
    ["vitest", ended({ report: "{" }), "no counts found (exit code 0)"],
    ["vitest", ended({ report: report(), exitCode: 1 }), "exit code 1"],
    ["tally", ended({ output: "3 passed, 0 failed", exitCode: undefined }), "ended by a signal"],
    ["tally", ended({ output: "3 passed, 0 failed", timedOut: true }), "stopped at its time budget"],
  ] as const)("fails %s when the counts do not prove a pass: %o", (counting, process, note) => {
    expect(readOutcome(counting, process)).toMatchObject({ failed: 1, note });
  });
});
