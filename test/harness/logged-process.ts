import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

/** A program as a process of its own, whose output goes to a file. */
export interface LoggedProcess {
  readonly pid: number;
  /** How it ended; undefined while it runs. */
  ending(): string | undefined;
  /** All that it wrote, behind what earlier processes wrote to the same file. */
  log(): string;
  /** Sends the signal and waits for the end, in the end with SIGKILL; nothing when it has ended. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

export interface LoggedProcessOptions {
  readonly logPath: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

const END_WITHIN_MS = 20_000;

export function startLogged(
  [program = "", ...words]: readonly string[],
  { logPath, ...options }: LoggedProcessOptions,
): LoggedProcess {
  const file = openSync(logPath, "a");
  const child = spawn(program, words, { ...options, stdio: ["ignore", file, file] });
  closeSync(file);
  let ending: string | undefined;
  const ended = new Promise<void>((done) => {
    const note = (how: string): void => {
      ending ??= how;
      done();
    };
    child.once("error", (error) => note(error.message));
    child.once("exit", (code, signal) => note(signal ?? `exit code ${code}`));
  });
  return {
    pid: child.pid ?? 0,
    ending: () => ending,
    log: () => readFileSync(logPath, "utf8"),
    async end(signal = "SIGTERM") {
      if (ending !== undefined) return;
      child.kill(signal);
      const last = setTimeout(() => child.kill("SIGKILL"), END_WITHIN_MS);
      await ended;
      clearTimeout(last);
    },
  };
}
