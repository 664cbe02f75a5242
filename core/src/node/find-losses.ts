import { spawn } from "node:child_process";
import { lossesUnknown, MOST_LOSSES_BYTES, parseLosses, type Losses } from "../snapshot/losses.ts";

export interface LossesQuestion {
  readonly runsc: {
    readonly path: string;
    /** Folder of the state of all containers. */
    readonly rootDir: string;
  };
  /** Of the agent's container in the container's sandbox, and where in it the program lies that looks. */
  readonly agent: { readonly containerId: string; readonly program: string };
  /** As the sandbox names it. */
  readonly containerName: string;
  /** Nobody waits longer. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Of the time for the answer: the program is to end, and to tell what it has found, before nobody listens any more. */
const LOOK_SHARE = 0.8;
const MOST_SAID_BYTES = 4096;
/** How the program says by its exit that no such container runs. */
const NO_CONTAINER = 2;

/**
 * What gVisor leaves out of a snapshot of a running container without a word. The agent's container
 * looks, as it can enter the others' roots. It never fails: who cannot look says so in a warning, for
 * what is found is a hint that no snapshot has to wait for.
 */
export async function findLosses(question: LossesQuestion): Promise<Partial<Losses> & Pick<Losses, "warnings">> {
  try {
    const { out, said, exitCode } = await ask(question);
    const losses = parseLosses(out);
    if (losses !== undefined) return losses;
    if (exitCode === NO_CONTAINER) return none("its main process was not found");
    return none(said === "" ? "the agent gave no answer that could be read" : `gVisor says "${wordsOf(said)}"`);
  } catch (error) {
    return none(error instanceof Error ? error.message : String(error));
  }
}

interface Answer {
  readonly out: string;
  readonly said: string;
  readonly exitCode: number | null;
}

/**
 * Until both streams have ended, not until the call has: where it does not see the processes of the
 * node it starts the program, fails to wait for it and ends, and the sandbox writes on.
 */
function ask({ runsc, agent, containerName, timeoutMs, signal }: LossesQuestion): Promise<Answer> {
  const seconds = Math.max(1, Math.floor((timeoutMs * LOOK_SHARE) / 1000));
  const program = [agent.program, containerName, String(seconds)];
  const args = [`--root=${runsc.rootDir}`, "exec", "--cwd=/", agent.containerId, ...program];
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const child = spawn(runsc.path, args, { stdio: ["ignore", "pipe", "pipe"], cwd: "/", env: {} });
    const end = (reason: unknown): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
      reject(reason);
    };
    const leave = (): void => end(signal.reason);
    const timer = setTimeout(() => end(new Error(`it took longer than ${timeoutMs} ms`)), timeoutMs);
    signal.addEventListener("abort", leave, { once: true });
    const chunks: { readonly out: Buffer[]; readonly said: Buffer[] } = { out: [], said: [] };
    let bytes = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MOST_LOSSES_BYTES) end(new Error("the answer was too long"));
      else chunks.out.push(chunk);
    });
    let saidBytes = 0;
    child.stderr.on("data", (chunk: Buffer) => {
      if (saidBytes < MOST_SAID_BYTES) chunks.said.push(chunk);
      saidBytes += chunk.length;
    });
    child.once("error", end);
    child.once("close", (exitCode) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      resolve({ out: textOf(chunks.out), said: textOf(chunks.said), exitCode });
    });
  });
}

function textOf(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString("latin1");
}

/** The last line, which has the reason, as characters that anybody may see. */
function wordsOf(said: string): string {
  const line = said.trim().split("\n").at(-1) ?? "";
  return line.replace(/[^ -~]/g, "?").slice(-200);
}

function none(why: string): Pick<Losses, "warnings"> {
  return { warnings: [lossesUnknown(why.slice(0, 500))] };
}
