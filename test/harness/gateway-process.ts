import { spawn, execFileSync, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const REPO = resolve(import.meta.dirname, "../..");
const ARCH = process.arch === "arm64" ? "arm64" : "x64";

/** The JavaScript runtimes of the project, as the lockfile installs them. */
export const RUNTIMES = {
  bun: [join(REPO, `node_modules/@oven/bun-linux-${ARCH === "arm64" ? "aarch64" : "x64"}/bin/bun`), "run"],
  deno: [join(REPO, `node_modules/@deno/linux-${ARCH}-glibc/deno`), "run", "--allow-all", "--no-prompt"],
  node: [join(REPO, `node_modules/node-linux-${ARCH}/bin/node`)],
} as const;

export type RuntimeName = keyof typeof RUNTIMES;

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
  const [program, ...args] = RUNTIMES[runtime];
  const logPath = join(home, "gateway.log");
  const log = openSync(logPath, "a");
  const child = spawn(program, [...args, join(REPO, `runtime/src/entry/${runtime}.ts`)], {
    cwd: REPO,
    env: { PATH: process.env["PATH"], ...environment(home, port), ...options.env },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const url = `http://127.0.0.1:${port}`;
  const read = (): string => readFileSync(logPath, "utf8");
  const gateway: GatewayProcess = {
    url,
    home,
    port,
    pid: child.pid ?? 0,
    network: networkOf(home).ATOLL_NETWORK_NAME,
    log: read,
    kill: (signal) => end(child, signal),
    dispose: async () => {
      await removeAllSandboxes(url).catch(() => {});
      await end(child, "SIGTERM");
      sweep(home);
    },
  };
  try {
    await untilReady(url, child, read);
  } catch (error) {
    if (options.home === undefined) sweep(home);
    throw error;
  }
  return gateway;
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
  const part = [...word].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 640, 7);
  return {
    ATOLL_NETWORK_NAME: `t${word.slice(-5).replaceAll(/[^a-z0-9]/g, "x")}`,
    ATOLL_NETWORK_POOL: `10.${210 + Math.floor(part / 16)}.${(part % 16) * 16}.0/20`,
    ATOLL_NETWORK_POOL_IPV6: `fd61:746f:${(part + 1).toString(16)}::/64`,
  };
}

/** Where a home's sockets lie. */
export function runDirOf(home: string): string {
  return join("/run", `atoll-test-${home.slice(-6).toLowerCase()}`);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function untilReady(url: string, child: ChildProcess, log: () => string): Promise<void> {
  const deadlineMs = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadlineMs) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`The gateway ended at start:\n${log()}`);
    const ready = await fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await new Promise((done) => setTimeout(done, 10));
  }
  child.kill("SIGKILL");
  throw new Error(`The gateway was not ready within ${READY_TIMEOUT_MS} ms:\n${log()}`);
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((done) => {
    child.once("exit", () => done());
    child.kill(signal);
    setTimeout(() => child.kill("SIGKILL"), 20_000).unref();
  });
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
function sweep(home: string): void {
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
}
