import { spawn } from "node:child_process";

export interface ToolOptions {
  readonly signal: AbortSignal;
  /** Absent = this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard output above this is a failure; default 1 MiB. */
  readonly maxStdoutBytes?: number;
  /** Sees both outputs as they come, for tools that report progress there. */
  readonly onOutput?: (text: string) => void;
  /** A tool that repairs itself badly (a package manager) is asked to end and outlives this process. */
  readonly gentle?: boolean;
}

/** A tool that did not end with exit code 0. */
export class ToolError extends Error {
  readonly exitCode: number | undefined;
  /** The end of standard error, at most 16 KiB. */
  readonly stderr: string;

  constructor(message: string, exitCode: number | undefined, stderr: string) {
    super(message);
    this.name = "ToolError";
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

const MAX_STDERR_CHARS = 16_384;

/**
 * Runs a program to its end and returns its standard output. An abort kills its process group and
 * rejects with the signal's reason after the program is gone. The kernel kills it when this process dies.
 */
export function runTool(command: string, args: readonly string[], options: ToolOptions): Promise<Uint8Array> {
  const { signal, gentle = false, maxStdoutBytes = 1_048_576 } = options;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const [file, argv] = gentle ? [command, [...args]] : ["setpriv", ["--pdeathsig", "KILL", "--", command, ...args]];
    const child = spawn(file, argv, {
      ...(options.env === undefined ? {} : { env: { ...options.env } }),
      cwd: options.cwd,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const stdout: Buffer[] = [];
    let stdoutBytes = 0;
    let stderr = "";
    let fault: Error | undefined;
    const kill = (): void => killGroup(child.pid, gentle ? "SIGTERM" : "SIGKILL");
    const onAbort = (): void => kill();
    signal.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (chunk: Buffer) => {
      stdoutBytes += chunk.length;
      options.onOutput?.(chunk.toString("latin1"));
      if (stdoutBytes <= maxStdoutBytes) return void stdout.push(chunk);
      fault ??= new ToolError(`${command} wrote more than ${maxStdoutBytes} bytes`, undefined, stderr);
      kill();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-MAX_STDERR_CHARS);
      options.onOutput?.(text);
    });
    child.on("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(new ToolError(`${command} cannot be started: ${error.message}`, undefined, ""));
    });
    child.on("close", (exitCode, killedBy) => {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) return reject(signal.reason);
      if (fault !== undefined) return reject(fault);
      if (exitCode === 0) return resolve(Buffer.concat(stdout));
      reject(
        new ToolError(`${command} ended with ${killedBy ?? `exit code ${exitCode}`}`, exitCode ?? undefined, stderr),
      );
    });
  });
}

function killGroup(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, name);
  } catch {
    // The group is gone already.
  }
}
