import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { claimNetwork, poolOf, releaseNetwork } from "./claim-network.ts";
import { freePort } from "./free-ports.ts";
import { startLogged } from "./logged-process.ts";
import { RUNTIMES, type RuntimeName } from "./runtimes.ts";
import { untilReady } from "./until-ready.ts";

const REPO = resolve(import.meta.dirname, "../..");

export interface GatewayOptions {
  readonly runtime?: RuntimeName;
  /** Folder of an earlier gateway, to start on what it left; absent = a new one. */
  readonly home?: string;
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A gateway as a process of its own with a home of its own, so that it can be killed. */
export interface GatewayProcess {
  readonly url: string;
  readonly home: string;
  readonly port: number;
  readonly pid: number;
  /** Name of its nftables table and beginning of its links' names. */
  readonly network: string;
  /** All that the process wrote, for a failing test's message. */
  log(): string;
  /** Ends the process and waits for it; the home stays. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends it with everything that it made. */
  dispose(): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;

/** Starts a gateway with the local backend over the installed programs and images; resolves when it is ready. */
export async function startGateway(options: GatewayOptions = {}): Promise<GatewayProcess> {
  const home = options.home ?? makeHome();
  const port = options.port ?? (await freePort());
  const runtime = options.runtime ?? "bun";
  const child = startLogged([...RUNTIMES[runtime], join(REPO, `runtime/src/entry/${runtime}.ts`)], {
    cwd: REPO,
    env: { PATH: process.env["PATH"], ...environment(home, port), ...options.env },
    logPath: join(home, "gateway.log"),
  });
  const url = `http://127.0.0.1:${port}`;
  try {
    const who = `The gateway on ${runtime}`;
    await untilReady(`${url}/readyz`, { who, timeoutMs: READY_TIMEOUT_MS, process: child });
  } catch (error) {
    await child.end("SIGKILL");
    if (options.home === undefined) sweep(home);
    throw error;
  }
  return {
    url,
    home,
    port,
    pid: child.pid,
    network: networkOf(home).ATOLL_NETWORK_NAME,
    log: child.log,
    kill: (signal) => child.end(signal),
    dispose: async () => {
      await removeAllSandboxes(url).catch(() => {});
      await child.end();
      sweep(home);
    },
  };
}

/** A home with the installed programs and images, and nothing else of the installed one. */
export function makeHome(): string {
  const installed = process.env["ATOLL_HOME"] ?? "/var/lib/atoll";
  const home = mkdtempSync(join(tmpdir(), "atoll-home-"));
  for (const name of ["bin", "agent"]) {
    if (existsSync(join(installed, name))) symlinkSync(join(installed, name), join(home, name));
  }
  // Hard links: the store of one home may remove its files without harm to another's.
  execFileSync("cp", ["-al", join(installed, "images"), join(home, "images")]);
  return home;
}

function environment(home: string, port: number): Record<string, string> {
  return {
    ATOLL_BACKEND: "local",
    ATOLL_HOME: home,
    ATOLL_RUN_DIR: runDirOf(home),
    ATOLL_LISTEN: `127.0.0.1:${port}`,
    ATOLL_POOL_SIZE: "0",
    ATOLL_LOG_LEVEL: "info",
    ...networkOf(home),
  };
}

/** Names and addresses of a home's own, so that tests do not meet. */
export function networkOf(home: string): {
  ATOLL_NETWORK_NAME: string;
  ATOLL_NETWORK_POOL: string;
  ATOLL_NETWORK_POOL_IPV6: string;
} {
  const word = home.slice(-6).toLowerCase();
  const place = claimNetwork(home);
  return {
    ATOLL_NETWORK_NAME: `t${word.slice(-5).replaceAll(/[^a-z0-9]/g, "x")}`,
    ATOLL_NETWORK_POOL: poolOf(place),
    ATOLL_NETWORK_POOL_IPV6: `fd61:746f:${(place + 1).toString(16)}::/64`,
  };
}

/** Where a home's sockets lie. */
export function runDirOf(home: string): string {
  return join("/run", `atoll-test-${home.slice(-6).toLowerCase()}`);
}

async function removeAllSandboxes(url: string): Promise<void> {
  const list = async (): Promise<{ id: string }[]> => {
    const body = (await (await fetch(`${url}/v1/sandboxes`)).json()) as { sandboxes: { id: string }[] };
    return body.sandboxes;
  };
  const deadlineMs = Date.now() + 20_000;
  for (let left = await list(); left.length > 0 && Date.now() < deadlineMs; left = await list()) {
    await Promise.all(left.map(({ id }) => fetch(`${url}/v1/sandboxes/${id}`, { method: "DELETE" })));
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** Kernels of sandboxes outlive their gateway by design; a test's must not outlive the test. */
export function sweep(home: string): void {
  const runsc = join(home, "bin/runsc");
  const root = join(runDirOf(home), "runsc");
  try {
    const ids = execFileSync(runsc, [`--root=${root}`, "list", "--quiet"], { encoding: "utf8" })
      .split("\n")
      .filter(Boolean);
    if (ids.length > 0) execFileSync(runsc, [`--root=${root}`, "delete", "--force", ...ids]);
  } catch {
    // Nothing ran.
  }
  rmSync(home, { recursive: true, force: true });
  execFileSync("sh", ["-c", 'while umount --lazy "$1"/null-netns 2>/dev/null; do :; done', "sh", root]);
  rmSync(runDirOf(home), { recursive: true, force: true });
  releaseNetwork(home);
}
