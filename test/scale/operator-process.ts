import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, RUNTIMES } from "../harness/gateway-process.ts";

/** The operator of the present sources, as a process. */
export interface OperatorProcess {
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Peak and present resident memory, in bytes. */
  memory(): { readonly peakBytes: number; readonly presentBytes: number };
  /** The samples of its metrics, by name with labels. */
  metrics(): Promise<ReadonlyMap<string, number>>;
}

const ENTRY = join(import.meta.dirname, "../../operator/src/entry/main.ts");
const READY_MS = 60_000;

export async function operatorProcess(
  env: Readonly<Record<string, string>>,
  logPath: string,
): Promise<OperatorProcess> {
  const [metricsPort, healthPort] = [await freePort(), await freePort()];
  let child: ChildProcess | undefined;
  return {
    async start() {
      const log = openSync(logPath, "a");
      const [program, ...words] = RUNTIMES.node;
      child = spawn(program, [...words, ENTRY], {
        env: {
          PATH: process.env["PATH"],
          ATOLL_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
          ATOLL_HEALTH_LISTEN: `127.0.0.1:${healthPort}`,
          ...env,
        },
        stdio: ["ignore", log, log],
      });
      closeSync(log);
      await untilReady(`http://127.0.0.1:${healthPort}/readyz`, logPath);
    },
    async kill(signal = "SIGKILL") {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, "exit");
    },
    memory() {
      const status = readFileSync(`/proc/${child?.pid}/status`, "utf8");
      const bytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
      return { peakBytes: bytes("VmHWM"), presentBytes: bytes("VmRSS") };
    },
    async metrics() {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
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

async function untilReady(url: string, logPath: string): Promise<void> {
  const deadlineMs = Date.now() + READY_MS;
  while (Date.now() < deadlineMs) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(50);
  }
  throw new Error(`The operator was not ready within ${READY_MS} ms: ${readFileSync(logPath, "utf8").slice(-2000)}`);
}
