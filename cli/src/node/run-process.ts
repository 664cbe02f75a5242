import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";

export interface ProcessRun {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly budgetMs: number;
  /** Everything printed goes here. */
  readonly logFile: string;
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface ProcessEnd {
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
  /** The last part of what was printed, without colours. */
  readonly output: string;
}

const KEPT_CHARACTERS = 128 * 1024;
const GRACE_MS = 10_000;
/** Time for output after the exit; who holds the pipe longer is a survivor and killed. */
const DRAIN_MS = 2_000;

/** Runs a program in a process group of its own and leaves nothing of it behind. */
export async function runProcess(run: ProcessRun): Promise<ProcessEnd> {
  const [program = "", ...words] = run.command;
  const log = createWriteStream(run.logFile);
  const tail = createTail(run.onLine);
  const child = spawn(program, words, {
    cwd: run.cwd,
    env: { ...run.env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = (signal: NodeJS.Signals): void => killGroup(child.pid, signal);
  const stop = createStop(kill);
  for (const stream of [child.stdout, child.stderr]) {
    const decoder = new StringDecoder("utf8");
    stream.on("data", (chunk: Buffer) => {
      log.write(chunk);
      tail.add(decoder.write(chunk));
    });
  }
  let timedOut = false;
  const budget = setTimeout(() => {
    timedOut = true;
    stop.begin();
  }, run.budgetMs);
  run.signal.addEventListener("abort", stop.begin, { once: true });
  try {
    const exitCode = await new Promise<number | undefined>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => {
        const survivors = setTimeout(() => kill("SIGKILL"), DRAIN_MS);
        child.once("close", () => {
          clearTimeout(survivors);
          resolve(code ?? undefined);
        });
      });
    });
    return { exitCode, timedOut, output: tail.text() };
  } finally {
    clearTimeout(budget);
    run.signal.removeEventListener("abort", stop.begin);
    stop.end();
    kill("SIGKILL");
    log.end();
    await finished(log);
  }
}

/** Sends a signal to a whole process group; a group that is gone is no fault. */
function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** SIGTERM first, SIGKILL after a grace. */
function createStop(kill: (signal: NodeJS.Signals) => void) {
  let timer: NodeJS.Timeout | undefined;
  return {
    begin: (): void => {
      if (timer !== undefined) return;
      kill("SIGTERM");
      timer = setTimeout(() => kill("SIGKILL"), GRACE_MS);
    },
    end: (): void => clearTimeout(timer),
  };
}

/** Keeps the end of a text and calls back with its latest line. */
function createTail(onLine: (line: string) => void) {
  let kept = "";
  return {
    add: (text: string): void => {
      kept = (kept + text).slice(-KEPT_CHARACTERS);
      const line = stripVTControlCharacters(text).trimEnd().split("\n").at(-1)?.trim();
      if (line) onLine(line);
    },
    text: (): string => stripVTControlCharacters(kept).replaceAll("\r\n", "\n"),
  };
}
