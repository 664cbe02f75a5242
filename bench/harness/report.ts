import { execFileSync } from "node:child_process";
import { cpus, totalmem, release } from "node:os";
import { percentile, type Series } from "./samples.ts";

export interface Goal {
  /** Name of the series that is measured. */
  readonly of: string;
  /** Name of the series it is held against. */
  readonly to: string;
  /** p50 of the first over p50 of the second. */
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Answer {
  /** The question this bench answers. */
  readonly question: string;
  readonly series: readonly Series[];
  readonly goals: readonly Goal[];
  /** Facts without a baseline, with their unit in the name. */
  readonly facts?: Readonly<Record<string, number>>;
}

/** Prints the answer as a table, or as one JSON line when `--json` is among the arguments. */
export function report(answer: Answer): void {
  const result = {
    question: answer.question,
    machine: machine(),
    commit: commit(),
    series: answer.series.map(({ name, unit, values }) => ({
      name,
      unit,
      n: values.length,
      p50: round(percentile(values, 0.5)),
      p95: round(percentile(values, 0.95)),
      p99: round(percentile(values, 0.99)),
    })),
    goals: answer.goals.map((goal) => judge(goal, answer.series)),
    facts: answer.facts ?? {},
  };
  if (process.argv.includes("--json")) console.log(JSON.stringify(result));
  else printTable(result);
}

type Result = ReturnType<typeof judge>;

function judge(goal: Goal, series: readonly Series[]) {
  const p50 = (name: string): number => percentile(series.find((one) => one.name === name)?.values ?? [], 0.5);
  const ratio = round(p50(goal.of) / p50(goal.to));
  const reached = ratio <= (goal.atMost ?? Number.POSITIVE_INFINITY) && ratio >= (goal.atLeast ?? 0);
  const bound = goal.atMost === undefined ? `>= ${goal.atLeast}` : `<= ${goal.atMost}`;
  return { of: goal.of, to: goal.to, ratio, bound, reached };
}

function printTable(result: {
  question: string;
  machine: string;
  commit: string;
  series: { name: string; unit: string; n: number; p50: number; p95: number; p99: number }[];
  goals: Result[];
  facts: Readonly<Record<string, number>>;
}): void {
  console.log(`\n${result.question}\n${result.machine}, commit ${result.commit}`);
  const width = Math.max(8, ...result.series.map(({ name }) => name.length));
  console.log(`${"".padEnd(width)}  ${["N", "p50", "p95", "p99"].map((head) => head.padStart(9)).join(" ")}`);
  for (const { name, unit, n, p50, p95, p99 } of result.series) {
    console.log(
      `${name.padEnd(width)}  ${[n, p50, p95, p99].map((value) => String(value).padStart(9)).join(" ")} ${unit}`,
    );
  }
  for (const { of, to, ratio, bound, reached } of result.goals) {
    console.log(`${of} / ${to} = ${ratio} (goal ${bound}): ${reached ? "reached" : "NOT reached"}`);
  }
  for (const [name, value] of Object.entries(result.facts)) console.log(`${name} = ${round(value)}`);
}

function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} x ${cpu?.model ?? "cpu"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}`;
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
