import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { readOutcome } from "../test/outcome.ts";
import type { Suite } from "../test/suite.ts";
import type { SuiteResult } from "../test/suite-table.ts";
import { REPORTS } from "../test/suites.ts";
import { runProcess } from "./run-process.ts";

export interface SuiteRun {
  readonly repo: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}

/** Runs one suite to its end or its budget, and counts. `output` is the end of what it printed. */
export async function runSuite(suite: Suite, run: SuiteRun): Promise<{ result: SuiteResult; output: string }> {
  const reportFile = join(run.repo, REPORTS, `${suite.name}.json`);
  await rm(reportFile, { force: true });
  const startedMs = performance.now();
  const ended = await runProcess({
    command: suite.command,
    cwd: run.repo,
    env: run.env,
    budgetMs: suite.budgetSeconds * 1000,
    logFile: join(run.repo, REPORTS, `${suite.name}.log`),
    onLine: run.onLine,
    signal: run.signal,
  });
  const seconds = (performance.now() - startedMs) / 1000;
  const report = suite.counting === "vitest" ? await readIfThere(reportFile) : undefined;
  const outcome = readOutcome(suite.counting, { ...ended, ...(report === undefined ? {} : { report }) });
  const result = { name: suite.name, seconds, budgetSeconds: suite.budgetSeconds, ...outcome };
  return { result, output: ended.output };
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, "utf8").catch(() => undefined);
}
