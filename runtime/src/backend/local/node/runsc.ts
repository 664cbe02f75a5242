import { spawn } from "node:child_process";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readHead } from "./read-head.ts";

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
  /** Descriptors for the container's standard streams; absent = nothing. */
  readonly stdin?: number;
  readonly stdout?: number;
  /** After this the call counts as hung; default 60 s. */
  readonly timeoutMs?: number;
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

/** An orphaned call ends by itself in this time; later it counts as hung, and its boot is removed all the same. */
const SETTLE_MS = 5000;
const SETTLE_PAUSE_MS = 10;
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
      `--log=${log}`,
      "--host-uds=create",
      "--network=sandbox",
      "--cpu-num-from-quota",
      // Version 2 gives each container a group of its own in the guest, where the task limit is enforced.
      "--in-sandbox-cgroup=v2",
      // Annotations are written by nobody but Atoll.
      "--allow-rootfs-tar-annotation",
    ];
    await writeFile(log, "", { mode: 0o600 });
    try {
      // The sandbox inherits the streams: a pipe would be held open, a file would grow by whatever its agent says.
      const exitCode = await run(
        config.path,
        [...flags, verb, ...args],
        [where.stdin ?? "ignore", where.stdout ?? "ignore", "ignore"],
        where,
      );
      if (exitCode !== 0) throw new RunscError(verb, exitCode, wordsOf(await readHead(log, MAX_SAID_BYTES)));
    } finally {
      await rm(log, { force: true });
    }
  }
  /** Waits for calls that an earlier process made and did not see the end of. */
  async function settle(): Promise<void> {
    for (let leftMs = SETTLE_MS; leftMs > 0; leftMs -= SETTLE_PAUSE_MS) {
      if (!(await anyCall(config))) return;
      await sleep(SETTLE_PAUSE_MS);
    }
  }

  async function remove(ids: readonly string[], where: RunscCall): Promise<void> {
    const files = await readdir(config.rootDir);
    const traces = files.filter((name) => ids.some((id) => name.includes(`:${id}.`) || name === `runsc-${id}.sock`));
    // runsc stops at the first container that it does not know, and leaves the others.
    const known = ids.filter((id) => traces.some((name) => name.endsWith(`:${id}.state`)));
    if (known.length > 0) await call("delete", ["--force", ...known], where);
    // A call that was cut leaves files of a container that never came to be.
    await Promise.all(traces.map((name) => rm(join(config.rootDir, name), { force: true })));
  }

  return {
    settle,
    /** Creates and starts a container, which saves a process; the pid file appears in between. */
    run: (id: string, bundleDir: string, pidFile: string, where: RunscCall) =>
      call("run", ["--detach", `--bundle=${bundleDir}`, `--pid-file=${pidFile}`, id], where),
    create: (id: string, bundleDir: string, pidFile: string, where: RunscCall) =>
      call("create", [`--bundle=${bundleDir}`, `--pid-file=${pidFile}`, id], where),
    start: (id: string, where: RunscCall) => call("start", [id], where),
    /**
     * Saves what a container has changed of its root into a folder that does not exist yet, and lets
     * the sandbox go on. The kernel saves to the end even when this call is killed.
     */
    checkpoint: (id: string, name: string, imageDir: string, where: RunscCall) =>
      call("fscheckpoint", [`--image-path=${imageDir}`, "--leave-running", `--path=${name}:/`, id], where),
    /** Kills and removes containers; absent ones are no fault. The root container takes the kernel with it. */
    remove,
  };
}

/** What a log of runsc says, without the form of its lines. */
function wordsOf(log: string): string {
  const words = log.split("\n").map((line) => /^\{"msg":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? line);
  return words.join(" ").trim();
}

function run(
  file: string,
  args: readonly string[],
  stdio: (number | "ignore")[],
  { signal, timeoutMs = CALL_TIMEOUT_MS }: RunscCall,
): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio, cwd: "/", env: {} });
    // An aborted call is let finish: half a create is harder to remove than a whole one.
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
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

/** Whether a call of this program in this state folder runs; kernels and gofers have other names. */
async function anyCall({ path, rootDir }: RunscConfig): Promise<boolean> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const [program, ...args] = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (program === path && args.includes(`--root=${rootDir}`)) return true;
  }
  return false;
}
