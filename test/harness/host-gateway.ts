import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-ports.ts";
import type { HostOperator } from "./host-operator.ts";
import { startLogged } from "./logged-process.ts";
import { RUNTIMES, type RuntimeName } from "./runtimes.ts";
import { untilReady } from "./until-ready.ts";

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
  const port = await freePort();
  const entry = join(import.meta.dirname, `../../runtime/src/entry/${runtime}.ts`);
  const child = startLogged([...RUNTIMES[runtime], entry], {
    logPath: join(directory, "gateway.log"),
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
  });
  const url = `http://127.0.0.1:${port}`;
  const dispose = async (signal?: NodeJS.Signals): Promise<void> => {
    await child.end(signal);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const who = `The gateway on ${runtime}`;
    await untilReady(`${url}/readyz`, { who, timeoutMs: READY_TIMEOUT_MS, process: child });
  } catch (error) {
    await dispose();
    throw error;
  }
  return { url, pid: child.pid, log: child.log, dispose };
}
