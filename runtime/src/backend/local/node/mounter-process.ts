import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { backoffMs } from "#core/backoff.ts";
import { systemClock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";
import { createAgentFetch, type AgentConnection } from "#runtime/agent/node/agent-fetch.ts";
import type { AgentFetch } from "#runtime/backend/port.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import { untilReplaced } from "./credential-files.ts";
import { askOnce, type MounterProgram } from "./mounter-client.ts";
import { jailed, programFiles, type JailPlan } from "./mounter-jail.ts";

export interface MounterProcessConfig {
  readonly socketPath: string;
  /** What it may see of this machine besides its own program. */
  readonly jail: JailPlan;
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What it sees as it was when it started, and not once another file takes the place. */
  readonly files: readonly string[];
}

export interface MounterProcessDeps {
  readonly log: Log;
  readonly random: () => number;
}

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 10;
const END_TIMEOUT_MS = 5_000;
/** It ends again and again: then it is left alone for longer and longer. */
const PAUSE = { firstMs: 100, mostMs: 10_000 };
/** So long a life counts as a good start. */
const STABLE_MS = 10_000;
const MOST_WORDS = 2_000;

/** Starts the mounter and resolves when it answers; throws its own sentence when it cannot start. From then on it is started again whenever it ends. */
export async function startMounter(config: MounterProcessConfig, deps: MounterProcessDeps): Promise<MounterProgram> {
  const supervisor = new Supervisor(config, deps);
  await supervisor.start();
  return supervisor;
}

interface Life {
  readonly child: ChildProcess;
  readonly connection: AgentConnection;
  readonly ended: Promise<string>;
}

class Supervisor implements MounterProgram {
  readonly #config: MounterProcessConfig;
  readonly #log: Log;
  readonly #random: () => number;
  readonly #closed = new AbortController();
  #life: Life | undefined;
  #ready = Promise.withResolvers<AgentFetch>();
  #isReady = false;
  #supervision: Promise<void> = Promise.resolve();

  constructor(config: MounterProcessConfig, { log, random }: MounterProcessDeps) {
    this.#config = config;
    this.#log = log.child({ program: "mounter" });
    this.#random = random;
  }

  async start(): Promise<void> {
    const life = await this.#begin();
    this.#supervision = this.#supervise(life);
  }

  ready(signal: AbortSignal): Promise<AgentFetch> {
    return orAborted(this.#ready.promise, signal);
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error("the gateway stops"));
    this.#ready.promise.catch(() => undefined);
    this.#ready.reject(this.#closed.signal.reason);
    const life = this.#life;
    if (life !== undefined) {
      life.child.stdin?.end();
      const timer = setTimeout(() => life.child.kill("SIGKILL"), END_TIMEOUT_MS);
      await life.ended;
      clearTimeout(timer);
    }
    await this.#supervision;
  }

  async #supervise(first: Life): Promise<void> {
    let life = first;
    for (let fails = 0; ; fails += 1) {
      const sinceMs = performance.now();
      const words = await life.ended;
      if (this.#closed.signal.aborted) return;
      this.#log.error("The mounter has ended and is started again", { detail: words });
      if (performance.now() - sinceMs > STABLE_MS) fails = 0;
      for (;;) {
        const pause = sleep(backoffMs(fails, PAUSE, this.#random), undefined, { signal: this.#closed.signal });
        if (!(await pause.then(succeeded, failed))) return;
        try {
          life = await this.#begin();
          break;
        } catch (error) {
          if (this.#closed.signal.aborted) return;
          this.#log.error("The mounter does not start", { error });
          fails += 1;
        }
      }
    }
  }

  /** Resolves with a process that answers. */
  async #begin(): Promise<Life> {
    const { socketPath, env, jail } = this.#config;
    const node = nodePath();
    const readable = [...programFiles(node), ...jail.readable];
    const [program = "", ...words] = jailed({ ...jail, readable }, [node, PROGRAM]);
    // Its standard input ends when this process wants it to end, or has ended.
    const child = spawn(program, words, { env: { ...env }, stdio: ["pipe", "ignore", "pipe"] });
    child.stdin?.on("error", () => undefined);
    const connection = createAgentFetch({ address: { socketPath }, token: async () => "" });
    const ended = this.#endOf(child, connection);
    const life = { child, connection, ended };
    this.#life = life;
    if (this.#config.files.length > 0) this.#endWhenReplaced(life);
    const over = new AbortController();
    const late = AbortSignal.timeout(START_TIMEOUT_MS);
    const signal = AbortSignal.any([over.signal, late, this.#closed.signal]);
    const answered = untilAnswers(connection.fetch, signal);
    try {
      const died = ended.then((said) => {
        throw new Error(`The mounter of snapshots cannot start: ${said}`);
      });
      await Promise.race([answered, died]);
    } catch (error) {
      child.kill("SIGKILL");
      await ended;
      throw late.aborted ? new Error("The mounter of snapshots did not answer in time", { cause: error }) : error;
    } finally {
      over.abort(new Error("the start is over"));
      answered.catch(() => undefined);
    }
    this.#isReady = true;
    this.#ready.resolve(connection.fetch);
    return life;
  }

  /** A new life sees the new file; what this one has under way is asked for again. */
  #endWhenReplaced({ child, ended }: Life): void {
    const over = new AbortController();
    untilReplaced(this.#config.files, systemClock, over.signal).then(
      () => {
        this.#log.info("A file of credentials was replaced, the mounter starts again to see it");
        child.stdin?.end();
      },
      () => undefined,
    );
    void ended.finally(() => over.abort(new Error("the mounter has ended")));
  }

  /** Resolves with its last words when the process is gone and nothing leads to it any more. */
  async #endOf(child: ChildProcess, connection: AgentConnection): Promise<string> {
    const ended = Promise.withResolvers<string>();
    let last = "";
    if (child.stderr !== null) {
      createInterface(child.stderr).on("line", (line) => {
        last = line.slice(0, MOST_WORDS);
        this.#forward(line);
      });
    }
    child.once("error", (error) => ended.resolve(error.message));
    child.once("exit", () => {
      // Who waits for the next one already goes on waiting.
      if (this.#isReady) this.#ready = Promise.withResolvers<AgentFetch>();
      this.#isReady = false;
      this.#ready.promise.catch(() => undefined);
      if (this.#closed.signal.aborted) this.#ready.reject(this.#closed.signal.reason);
      connection.close(new Error("The mounter has ended"));
    });
    // Only now its last words have come.
    child.once("close", (code, signal) =>
      ended.resolve(wordsOf(last) || `it ended with ${signal ?? `exit code ${code}`}`),
    );
    return ended.promise;
  }

  /** Its lines are of the gateway's own form; others are a runtime's cry. */
  #forward(line: string): void {
    const said = parseLine(line);
    if (said === undefined) return this.#log.warn("The mounter says", { detail: line.slice(0, MOST_WORDS) });
    const { level, message, time: _, ...fields } = said;
    this.#log[level](message, fields);
  }
}

const PROGRAM = fileURLToPath(new URL("../../../../../mounter/src/entry/local.ts", import.meta.url));
const MODULES = fileURLToPath(new URL("../../../../../node_modules", import.meta.url));
const succeeded = (): boolean => true;
const failed = (): boolean => false;

/** It runs on Node, whatever this process runs on: the clients of the stores are made for it. */
function nodePath(): string {
  if (basename(process.execPath) === "node") return process.execPath;
  const own = `${MODULES}/node-linux-${process.arch}/bin/node`;
  return existsSync(own) ? own : "node";
}

async function untilAnswers(fetch: AgentFetch, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await askOnce({ fetch, signal }, "health", {});
      return;
    } catch {
      await sleep(POLL_MS, undefined, { signal });
    }
  }
}

type Level = "debug" | "info" | "warn" | "error";

function parseLine(line: string): { level: Level; message: string; [name: string]: unknown } | undefined {
  try {
    const said = JSON.parse(line) as { level?: unknown; message?: unknown };
    const isLine = /^(debug|info|warn|error)$/.test(String(said.level)) && typeof said.message === "string";
    return isLine ? (said as { level: Level; message: string }) : undefined;
  } catch {
    return undefined;
  }
}

function wordsOf(line: string): string {
  return line.replace(/^atoll-mounter: /, "");
}
