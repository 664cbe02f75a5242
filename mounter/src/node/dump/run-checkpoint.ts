import { spawn } from "node:child_process";
import { open, rm } from "node:fs/promises";

export interface RunscPlace {
  /** Absolute path of the program. */
  readonly path: string;
  /** Folder of the state of all containers of the node's engine. */
  readonly rootDir: string;
}

export interface CheckpointCommand {
  readonly containerId: string;
  /** By which gVisor knows it. */
  readonly containerName: string;
  /** Made by the call. */
  readonly folder: string;
  /** For the call's own words; removed afterwards. */
  readonly logPath: string;
  /** After this the call counts as hung. */
  readonly timeoutMs: number;
}

/** gVisor refused: `said` are its own words. */
export class RunscFault extends Error {
  readonly said: string;

  constructor(said: string) {
    super(`runsc fscheckpoint failed: ${said}`);
    this.name = "RunscFault";
    this.said = said;
  }
}

const MOST_SAID_BYTES = 4096;

/**
 * Saves what a container has changed of its root, and lets the sandbox go on. The sandbox's kernel
 * does it: it saves to the end even when this call is killed.
 */
export async function runCheckpoint(
  { path, rootDir }: RunscPlace,
  { containerId, containerName, folder, logPath, timeoutMs }: CheckpointCommand,
): Promise<void> {
  const flags = [`--root=${rootDir}`, `--log=${logPath}`];
  const what = ["fscheckpoint", `--image-path=${folder}`, "--leave-running", `--path=${containerName}:/`, containerId];
  try {
    const exitCode = await run(path, [...flags, ...what], timeoutMs);
    if (exitCode !== 0) throw new RunscFault(wordsOf(await headOf(logPath)) || `exit code ${exitCode}`);
  } finally {
    await rm(logPath, { force: true });
  }
}

function run(file: string, args: readonly string[], timeoutMs: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: "ignore", cwd: "/", env: {} });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      resolve(code);
    });
  });
}

async function headOf(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return "";
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MOST_SAID_BYTES), 0, MOST_SAID_BYTES, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** What a log of runsc says, without the form of its lines. */
function wordsOf(log: string): string {
  const words = log.split("\n").map((line) => /^\{"msg":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? line);
  return words.join(" ").trim();
}
