import { spawn } from "node:child_process";

export interface CommandResult {
  /** Undefined when a signal ended the program. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  /** The end of standard error. */
  readonly stderr: string;
}

/** No network tool needs a second; a hung one must not hold a sandbox for longer. */
const DEADLINE_MS = 15_000;
const MAX_STDERR_CHARS = 4096;

/** Runs a network tool to its end with `input` on standard input; rejects only when it cannot be started. */
export function runCommand(command: string, args: readonly string[], input = ""): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "pipe", timeout: DEADLINE_MS, killSignal: "SIGKILL" });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-MAX_STDERR_CHARS)));
    // A program that ends before it has read everything says why on standard error.
    child.stdin.on("error", () => undefined).end(input);
    child.on("error", (cause) => reject(new Error(`Cannot start the program ${command}`, { cause })));
    child.on("close", (exitCode) => resolve({ exitCode: exitCode ?? undefined, stdout, stderr }));
  });
}

/** The same; an exit code other than 0 is an error that carries the tool's own words. */
export async function mustRun(command: string, args: readonly string[], input = ""): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand(command, args, input);
  if (exitCode === 0) return stdout;
  const said = stderr.trim().replaceAll(/\s*\n\s*/g, "; ");
  throw new Error(`${command} ended with exit code ${exitCode ?? "none"}: ${said}`);
}

const PROGRAMS = [
  ["ip", "-V"],
  ["tc", "-V"],
  ["nft", "--version"],
  ["conntrack", "--version"],
] as const;

/** Programs that the network needs and this machine lacks. */
export async function missingPrograms(): Promise<string[]> {
  const isMissing = await Promise.all(
    PROGRAMS.map(([program, flag]) =>
      runCommand(program, [flag]).then(
        () => false,
        () => true,
      ),
    ),
  );
  return PROGRAMS.flatMap(([program], index) => (isMissing[index] ? [program] : []));
}
