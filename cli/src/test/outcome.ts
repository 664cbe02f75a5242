import type { Counting } from "./suite.ts";

/** What a suite's process left behind. */
export interface Ended {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
  /** The end of what it printed, colours removed. */
  readonly output: string;
  /** The text of its report file, when it wrote one. */
  readonly report?: string;
}

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** Why it failed, when the counts do not say it. */
  readonly note?: string;
}

/**
 * Counts a suite's tests. Whatever is not plainly a pass is a failure: a time-out, a skipped test,
 * no test at all, a bad exit code without a failed test, a report that cannot be read.
 */
export function readOutcome(counting: Counting, ended: Ended): Outcome {
  const counted = count(counting, ended);
  if (ended.timedOut) return failure(counted, "stopped at its time budget");
  if (counted === undefined) return failure(undefined, `no counts found (${describeExit(ended)})`);
  if (counted.failed > 0) return counted;
  if (ended.exitCode !== 0) return failure(counted, describeExit(ended));
  if (counted.passed === 0) return failure(counted, "ran no test");
  return counted;
}

function failure(counted: Outcome | undefined, note: string): Outcome {
  return { passed: counted?.passed ?? 0, failed: Math.max(1, counted?.failed ?? 0), note };
}

function describeExit({ exitCode }: Ended): string {
  return exitCode === undefined ? "ended by a signal" : `exit code ${exitCode}`;
}

function count(counting: Counting, { exitCode, output, report }: Ended): Outcome | undefined {
  switch (counting) {
    case "exit":
      return exitCode === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
    case "tally":
      return countTally(output);
    case "pytest":
      return countPytest(output);
    case "vitest":
      return report === undefined ? undefined : countVitest(report);
  }
}

/** The last line `N passed, N failed`. */
function countTally(output: string): Outcome | undefined {
  const last = [...output.matchAll(/^(\d+) passed, (\d+) failed$/gm)].at(-1);
  return last === undefined ? undefined : { passed: Number(last[1]), failed: Number(last[2]) };
}

/** pytest's last line, e.g. `=== 1 failed, 4 passed, 2 skipped, 1 error in 3.21s ===`. */
function countPytest(output: string): Outcome | undefined {
  const summary = output.split("\n").findLast((line) => /^=* ?(?:\d+ \w+(?:, )?)+ in [\d.]+s/.test(line.trim()));
  if (summary === undefined) return undefined;
  const number = (word: string): number => Number(new RegExp(`(\\d+) ${word}`).exec(summary)?.[1] ?? 0);
  const notRun = number("skipped") + number("xfailed") + number("xpassed");
  const failed = number("failed") + number("errors?") + notRun;
  return { passed: number("passed"), failed, ...skippedNote(notRun) };
}

function countVitest(report: string): Outcome | undefined {
  const found = parseVitest(report);
  if (found === undefined) return undefined;
  const notRun = found.numPendingTests + found.numTodoTests;
  const failed = found.numFailedTests + notRun;
  // A file that cannot be loaded is a failed suite without a failed test.
  const broken = failed === 0 && found.numFailedTestSuites > 0 ? found.numFailedTestSuites : 0;
  return { passed: found.numPassedTests, failed: failed + broken, ...skippedNote(notRun) };
}

function skippedNote(notRun: number): { note?: string } {
  return notRun === 0 ? {} : { note: `${notRun} skipped` };
}

const VITEST_COUNTS = [
  "numPassedTests",
  "numFailedTests",
  "numPendingTests",
  "numTodoTests",
  "numFailedTestSuites",
] as const;

function parseVitest(report: string): Record<(typeof VITEST_COUNTS)[number], number> | undefined {
  let found: unknown;
  try {
    found = JSON.parse(report);
  } catch {
    return undefined;
  }
  if (typeof found !== "object" || found === null) return undefined;
  const values = new Map(Object.entries(found));
  const counts = VITEST_COUNTS.map((name) => [name, values.get(name)] as const);
  if (!counts.every(([, value]) => typeof value === "number")) return undefined;
  return Object.fromEntries(counts) as Record<(typeof VITEST_COUNTS)[number], number>;
}
