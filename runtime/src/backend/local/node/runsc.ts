import { spawn } from "node:child_process";
import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

export interface RunscConfig {
  readonly path: string;
  /** State of all containers of this instance. */
  readonly rootDir: string;
  readonly platform: string;
}

export interface RunscCall {
  readonly signal?: AbortSignal;
  /** Folder for this call's log; the boot's own. */
  readonly bootDir: string;
  /** Folder of the boot's writable layers. */
  readonly upperDir: string;
}

/** runsc said no: `message` is its own words, for mapping to a cause and for the log. */
export class RunscError extends Error {
  readonly exitCode: number | null;

  constructor(verb: string, exitCode: number | null, said: string) {
    super(`runsc ${verb} failed: ${said || `exit code ${exitCode}`}`);
    this.name = "RunscError";
    this.exitCode = exitCode;
  }
}

/** Longest one runsc call may take before it counts as hung; a boot on a loaded machine takes seconds. */
const CALL_TIMEOUT_MS = 60_000;
const MAX_SAID_BYTES = 4096;

export type Runsc = ReturnType<typeof createRunsc>;

/** The gVisor command line, one process a call. */
export function createRunsc(config: RunscConfig) {
  async function call(verb: string, args: readonly string[], where: RunscCall): Promise<void> {
    const log = join(where.bootDir, `${verb}-${args.at(-1)}.err`);
    const flags = [
      `--root=${config.rootDir}`,
      `--platform=${config.platform}`,
      `--overlay2=root:dir=${where.upperDir}`,
      `--panic-log=${join(where.bootDir, "panic.log")}`,
      "--host-uds=create",
      "--network=sandbox",
      "--cpu-num-from-quota",
      // Version 2 gives each container a group of its own in the guest, where the task limit is enforced.
      "--in-sandbox-cgroup=v2",
    ];
    // A file, not a pipe: the sandbox inherits standard error and would hold a pipe open.
    const said = await open(log, "w", 0o600);
    try {
      const exitCode = await run(config.path, [...flags, verb, ...args], said.fd, where.signal);
      if (exitCode === 0) return;
      throw new RunscError(
        verb,
        exitCode,
        (await readFile(log, "utf8").catch(() => "")).slice(0, MAX_SAID_BYTES).trim(),
      );
    } finally {
      await said.close();
      await rm(log, { force: true });
    }
  }
  return {
    create: (id: string, bundleDir: string, pidFile: string, where: RunscCall) =>
      call("create", [`--bundle=${bundleDir}`, `--pid-file=${pidFile}`, id], where),
    start: (id: string, where: RunscCall) => call("start", [id], where),
    /** Kills and removes containers; absent ones are no fault. The root container takes the kernel with it. */
    remove: (ids: readonly string[], where: RunscCall) => call("delete", ["--force", ...ids], where),
  };
}

function run(file: string, args: readonly string[], stderrFd: number, signal?: AbortSignal): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ["ignore", "ignore", stderrFd], cwd: "/", env: {} });
    // An aborted call is let finish: half a create is harder to remove than a whole one.
    const timer = setTimeout(() => child.kill("SIGKILL"), CALL_TIMEOUT_MS);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      if (signal?.aborted) reject(signal.reason);
      else resolve(code);
    });
  });
}
