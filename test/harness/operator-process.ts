import { join } from "node:path";
import { freePorts } from "./free-ports.ts";
import { startLogged, type LoggedProcess } from "./logged-process.ts";
import { RUNTIMES } from "./runtimes.ts";
import { untilReady } from "./until-ready.ts";

/** The operator of the present sources as a process, which can be ended and started again. */
export interface OperatorProcess {
  readonly metricsUrl: string;
  /** 0 before the first start. */
  pid(): number;
  isRunning(): boolean;
  /** Resolves when it is ready. */
  start(): Promise<void>;
  end(signal?: NodeJS.Signals): Promise<void>;
}

const ENTRY = join(import.meta.dirname, "../../operator/src/entry/main.ts");
const READY_TIMEOUT_MS = 60_000;

export async function createOperatorProcess(
  env: Readonly<Record<string, string>>,
  logPath: string,
): Promise<OperatorProcess> {
  const { metrics, health } = await freePorts("metrics", "health");
  const variables = {
    PATH: process.env["PATH"],
    ATOLL_METRICS_LISTEN: `127.0.0.1:${metrics}`,
    ATOLL_HEALTH_LISTEN: `127.0.0.1:${health}`,
    ...env,
  };
  let child: LoggedProcess | undefined;
  return {
    metricsUrl: `http://127.0.0.1:${metrics}/metrics`,
    pid: () => child?.pid ?? 0,
    isRunning: () => child !== undefined && child.ending() === undefined,
    async start() {
      child = startLogged([...RUNTIMES.node, ENTRY], { logPath, env: variables });
      const url = `http://127.0.0.1:${health}/readyz`;
      await untilReady(url, { who: "The operator", timeoutMs: READY_TIMEOUT_MS, process: child });
    },
    end: async (signal) => child?.end(signal),
  };
}
