import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, RUNTIMES, type RuntimeName } from "./gateway-process.ts";
import type { HostOperator } from "./host-operator.ts";

/** A gateway with the kubernetes backend as a process of this machine. */
export interface HostGateway {
  readonly url: string;
  readonly pid: number;
  log(): string;
  dispose(signal?: NodeJS.Signals): Promise<void>;
}

export interface HostGatewayOptions {
  readonly runtime?: RuntimeName;
  /** Another way to the same cluster. */
  readonly kubeconfig?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const READY_TIMEOUT_MS = 30_000;

/** Starts a gateway of the present sources beside an operator; resolves when it is ready. */
export async function startHostGateway(
  operator: Pick<HostOperator, "cluster" | "sandboxNamespace" | "systemNamespace">,
  options: HostGatewayOptions = {},
): Promise<HostGateway> {
  const { runtime = "bun", kubeconfig = operator.cluster.kubeconfig, env = {} } = options;
  const directory = mkdtempSync(join(tmpdir(), "atoll-gateway-"));
  const logPath = join(directory, "gateway.log");
  const port = await freePort();
  const log = openSync(logPath, "a");
  const [program, ...words] = RUNTIMES[runtime];
  const entry = join(import.meta.dirname, `../../runtime/src/entry/${runtime}.ts`);
  const child = spawn(program, [...words, entry], {
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      ATOLL_BACKEND: "kubernetes",
      ATOLL_LISTEN: `127.0.0.1:${port}`,
      ATOLL_KUBECONFIG: kubeconfig,
      ATOLL_SANDBOX_NAMESPACE: operator.sandboxNamespace,
      ATOLL_SYSTEM_NAMESPACE: operator.systemNamespace,
      ...env,
    },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const url = `http://127.0.0.1:${port}`;
  const read = (): string => readFileSync(logPath, "utf8");
  const dispose = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, "exit");
    }
    rmSync(directory, { recursive: true, force: true });
  };
  const deadlineMs = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return { url, pid: child.pid ?? 0, log: read, dispose };
    if (child.exitCode !== null || Date.now() > deadlineMs) {
      const text = read();
      await dispose();
      throw new Error(`The gateway on ${runtime} is not ready: ${text}`);
    }
    await sleep(50);
  }
}
