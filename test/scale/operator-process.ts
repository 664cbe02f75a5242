import { readFileSync } from "node:fs";
import { createOperatorProcess } from "../harness/operator-process.ts";

/** The operator of the present sources, as a process that tells what it needs. */
export interface OperatorProcess {
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Peak and present resident memory, in bytes. */
  memory(): { readonly peakBytes: number; readonly presentBytes: number };
  /** The samples of its metrics, by name with labels. */
  metrics(): Promise<ReadonlyMap<string, number>>;
}

export async function operatorProcess(
  env: Readonly<Record<string, string>>,
  logPath: string,
): Promise<OperatorProcess> {
  const operator = await createOperatorProcess(env, logPath);
  return {
    start: () => operator.start(),
    kill: (signal = "SIGKILL") => operator.end(signal),
    memory() {
      const status = readFileSync(`/proc/${operator.pid()}/status`, "utf8");
      const bytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
      return { peakBytes: bytes("VmHWM"), presentBytes: bytes("VmRSS") };
    },
    async metrics() {
      const text = await (await fetch(operator.metricsUrl)).text();
      const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
      return new Map(
        samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
      );
    },
  };
}

/** Upper bound of the bucket in which a quantile of a histogram lies, in its unit. */
export function quantile(metrics: ReadonlyMap<string, number>, name: string, labels: string, part: number): number {
  const buckets = new Map<number, number>();
  for (const [sample, count] of metrics) {
    const [, bound] = /le="([^"]+)"/.exec(sample) ?? [];
    if (!sample.startsWith(`${name}_bucket`) || !sample.includes(labels) || bound === undefined) continue;
    const atMost = bound === "+Inf" ? Infinity : Number(bound);
    buckets.set(atMost, (buckets.get(atMost) ?? 0) + count);
  }
  const total = buckets.get(Infinity) ?? 0;
  const bounds = [...buckets].sort(([a], [b]) => a - b);
  return bounds.find(([, count]) => count >= total * part)?.[0] ?? 0;
}
