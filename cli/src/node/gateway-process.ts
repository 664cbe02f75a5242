import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import type { Clock } from "#core/clock.ts";
import { Fault } from "../fault.ts";

export interface GatewayStart {
  readonly repo: string;
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
}

/** A gateway that this process has started. */
export interface StartedGateway {
  readonly pid: number;
  /** Resolves when the process has ended, with how. */
  readonly ended: Promise<string>;
  /** Lets this process end while the gateway goes on. */
  readonly leave: () => void;
}

/** Starts the gateway on Bun in a session of its own: it outlives the terminal. */
export async function startGateway(start: GatewayStart): Promise<StartedGateway> {
  await mkdir(dirname(start.logFile), { recursive: true });
  const log = openSync(start.logFile, "a", 0o600);
  try {
    const child = spawn(bunOf(start.repo), ["run", join(start.repo, "runtime/src/entry/bun.ts")], {
      // Bun reads .env files of its folder; ATOLL_HOME has none.
      cwd: start.home,
      env: { ...start.env },
      detached: true,
      stdio: ["ignore", log, log],
    });
    const ended = new Promise<string>((resolve) => {
      child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
      child.once("error", (error) => resolve(error.message));
    });
    if (child.pid === undefined) throw new Fault(`cannot start the gateway: ${await ended}`);
    return { pid: child.pid, ended, leave: () => child.unref() };
  } finally {
    closeSync(log);
  }
}

/** The Bun of the lockfile. */
function bunOf(repo: string): string {
  const name = process.arch === "arm64" ? "bun-linux-aarch64" : "bun-linux-x64";
  return join(repo, "node_modules/@oven", name, "bin/bun");
}

/** A port of 127.0.0.1 that nothing listens on. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Why nothing can listen there, in one sentence; undefined when it can. */
export async function findListenObstacle(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, exclusive: true }, resolve);
    });
    return undefined;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EADDRINUSE") return `port ${port} of ${host} is taken by another program; choose one with --port`;
    if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return `${host} is no address of this machine`;
    return `port ${port} of ${host} cannot be used: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** The gateway waits for open requests; a second signal cuts them. */
const CUT_AFTER_MS = 5_000;
const KILL_AFTER_MS = 40_000;
const POLL_MS = 50;

/** Ends a process gracefully, by force after a grace; returns when it is gone. */
export async function stopProcess(pid: number, isGone: () => Promise<boolean>, clock: Clock): Promise<void> {
  const startedMs = clock.now();
  signalProcess(pid, "SIGTERM");
  for (let cut = false; !(await isGone()); await clock.sleep(POLL_MS)) {
    const elapsedMs = clock.now() - startedMs;
    if (elapsedMs > KILL_AFTER_MS) signalProcess(pid, "SIGKILL");
    if (cut || elapsedMs < CUT_AFTER_MS) continue;
    cut = true;
    signalProcess(pid, "SIGTERM");
  }
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** The last lines of a log. */
export async function readLogTail(file: string, lines: number): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}
