import type { TestReport } from "../verb/test.ts";
import { renderResults, total } from "../test/suite-table.ts";
import { formatDuration } from "./amount.ts";
import type { Screen } from "./screen.ts";

/** Lines of a failed suite's output that are shown at once; the rest is in its log. */
const SHOWN_LINES = 120;
/** Without a terminal, progress is a line this often. */
const HEARTBEAT_MS = 60_000;

/** Progress and results for people. */
export function createTextReport(screen: Screen, now: () => number): TestReport {
  let startedMs = 0;
  let shownMs = 0;
  return {
    start(suite) {
      startedMs = now();
      shownMs = startedMs;
      if (!screen.live) screen.print(`▸ ${suite.name}: ${suite.title} (budget ${suite.budgetSeconds} s)`);
      screen.status(`▸ ${suite.name}`);
    },
    line(suite, line) {
      const elapsed = formatDuration(now() - startedMs);
      screen.status(`▸ ${suite.name}  ${elapsed} of ${suite.budgetSeconds} s  ${line}`);
      if (screen.live || now() - shownMs < HEARTBEAT_MS) return;
      shownMs = now();
      screen.print(`  ${suite.name} ${elapsed}: ${line.slice(0, 160)}`);
    },
    end(suite, result, output) {
      screen.clear();
      const mark = result.failed === 0 ? "✓" : "✗";
      const note = result.note === undefined ? "" : ` (${result.note})`;
      if (result.failed > 0) screen.print(output.trimEnd().split("\n").slice(-SHOWN_LINES).join("\n"));
      const counts = `${result.passed} passed, ${result.failed} failed`;
      screen.print(`${mark} ${suite.name}: ${counts}${note}, ${result.seconds.toFixed(1)} s`);
    },
    finish: (results) => screen.print(`\n${renderResults(results)}`),
  };
}

/** The same as JSON lines. */
export function createJsonReport(write: (line: string) => void): TestReport {
  return {
    start: (suite) => write(JSON.stringify({ event: "start", suite: suite.name, budgetSeconds: suite.budgetSeconds })),
    line() {},
    end: (suite, result) => write(JSON.stringify({ event: "end", suite: suite.name, ...result })),
    finish: (results) => write(JSON.stringify({ event: "total", ...total(results) })),
  };
}
