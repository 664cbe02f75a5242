import { renderTable } from "../display/table.ts";
import type { Outcome } from "./outcome.ts";

/** A row of the result of `atoll test`. */
export interface SuiteResult extends Outcome {
  readonly name: string;
  readonly seconds: number;
  readonly budgetSeconds: number;
}

/** The table of results, and as its last line exactly `N passed, N failed`. */
export function renderResults(results: readonly SuiteResult[]): string {
  const rows = results.map((result) => [
    result.name,
    String(result.passed),
    String(result.failed),
    result.seconds.toFixed(1),
    String(result.budgetSeconds),
    result.note ?? "",
  ]);
  const right = ["passed", "failed", "seconds", "budget"];
  const { passed, failed } = total(results);
  return `${renderTable(["suite", ...right, ""], rows, right)}\n\n${passed} passed, ${failed} failed`;
}

/** Sums over all suites. */
export function total(results: readonly Outcome[]): { passed: number; failed: number } {
  return results.reduce((sum, { passed, failed }) => ({ passed: sum.passed + passed, failed: sum.failed + failed }), {
    passed: 0,
    failed: 0,
  });
}
