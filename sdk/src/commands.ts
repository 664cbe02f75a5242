import { readJson } from "./body.ts";
import { Command } from "./command.ts";
import { openScope, withDeadline } from "./deadline.ts";
import { ConflictError } from "./errors.ts";
import { readOutput } from "./output.ts";
import { collect, DEFAULT_MAX_OUTPUT_BYTES } from "./output-text.ts";
import type { CallOptions } from "./options.ts";
import { parseCommandId } from "./parse.ts";
import { createRun, readRun, RUN_ACCEPT, type Run } from "./run.ts";
import type { HttpRequest, Transport } from "./transport.ts";
import type { Uploadable } from "./upload.ts";
import type { CreateCommandBody } from "./wire.ts";

export interface SpawnOptions extends CallOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Working directory; default: that of the container's main process. */
  readonly cwd?: string | undefined;
  /** The server kills the command after this time; default: no limit. */
  readonly timeoutSeconds?: number | undefined;
  /** Needed when the sandbox has several containers. */
  readonly container?: string | undefined;
  /** Names this start: a later one with the same key answers with the same command. Default: a random one. */
  readonly idempotencyKey?: string | undefined;
}

export interface RunOptions extends SpawnOptions {
  /** Written to standard input, which is then closed. Without it standard input stays open and empty. */
  readonly input?: Uploadable | undefined;
  /** Most bytes of each output stream; above it the command is killed and OutputTooLargeError thrown. Default 256 MiB. */
  readonly maxOutputBytes?: number | undefined;
}

export interface CommandResult {
  readonly id: string;
  /** -1 when a signal ended the command. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs programs in a sandbox. `args[0]` is the program; no shell is involved. */
export class Commands {
  readonly #transport: Transport;
  readonly #path: string;

  constructor(transport: Transport, sandboxPath: string) {
    this.#transport = transport;
    this.#path = `${sandboxPath}/commands`;
  }

  /** Starts a command and returns at once. `timeoutMs` and `signal` bound the start only. */
  spawn(args: readonly string[], options: SpawnOptions = {}, call: CallOptions = {}): Promise<Command> {
    return withDeadline({ ...options, ...call }, "The start of the command", (signal) =>
      this.#start(args, options, signal),
    );
  }

  /**
   * Runs a command to its end and collects its output. A non-zero exit code is no error.
   * When the call is given up or fails, the command is killed.
   */
  run(args: readonly string[], options: RunOptions = {}, call: CallOptions = {}): Promise<CommandResult> {
    return withDeadline({ ...options, ...call }, "The command", async (signal) => {
      const run = createRun(options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES);
      // One failing part ends the others.
      const scope = openScope(signal);
      try {
        await this.#begin(run, args, options, scope.signal);
        const exitCode = run.exitCode ?? (await this.#finish(run, options, scope.signal));
        return { id: run.id ?? "", exitCode, stdout: run.stdout.text(), stderr: run.stderr.text() };
      } catch (error) {
        scope.abort(error);
        if (run.id !== undefined) this.#kill(run.id);
        throw error;
      } finally {
        scope.close();
      }
    });
  }

  /** Starts the command; when the server takes part, all of its run comes with the answer. */
  #begin(run: Run, args: readonly string[], options: RunOptions, signal: AbortSignal): Promise<void> {
    const request = this.#startRequest(args, options, signal);
    // Input is sent beside the run: its answer need not be waited for then.
    const accept = options.input === undefined ? RUN_ACCEPT : "application/json";
    const headers = { ...request.headers, accept };
    return this.#transport.send({ ...request, headers }, readRun(run, this.#path, signal));
  }

  /** What is left of a run: all of it, or what was cut off. */
  async #finish(run: Run, options: RunOptions, signal: AbortSignal): Promise<number> {
    const command = new Command(this.#transport, this.#path, run.id ?? "");
    const rest = (name: "stdout" | "stderr"): Promise<void> => {
      const path = `${this.#path}/${encodeURIComponent(command.id)}/${name}`;
      return collect(readOutput(this.#transport, path, signal, run[name].sizeBytes), run[name]);
    };
    const [exitCode] = await Promise.all([
      command.wait({ signal }),
      rest("stdout"),
      rest("stderr"),
      options.input === undefined ? undefined : feed(command, options.input, signal),
    ]);
    return exitCode;
  }

  #kill(id: string): void {
    new Command(this.#transport, this.#path, id).kill({ timeoutMs: KILL_TIMEOUT_MS }).catch(() => undefined);
  }

  async #start(args: readonly string[], options: SpawnOptions, signal: AbortSignal | undefined): Promise<Command> {
    const id = await this.#transport.send(this.#startRequest(args, options, signal), readJson(parseCommandId));
    return new Command(this.#transport, this.#path, id);
  }

  #startRequest(args: readonly string[], options: SpawnOptions, signal: AbortSignal | undefined): StartRequest {
    if (args.length === 0) throw new TypeError("A command needs at least one argument, the program.");
    const { env, cwd, timeoutSeconds, container, idempotencyKey = crypto.randomUUID() } = options;
    const body: CreateCommandBody = { args: [...args], env: env && { ...env }, cwd, timeoutSeconds };
    return {
      method: "POST",
      path: this.#path,
      query: { container },
      headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
      body: { kind: "bytes", bytes: JSON.stringify(body) },
      repeatable: true,
      signal,
    };
  }
}

type StartRequest = HttpRequest & { readonly headers: Readonly<Record<string, string>> };

/** Writes the input and closes it. A program that ends before it has read everything is no fault. */
async function feed(command: Command, input: Uploadable, signal: AbortSignal): Promise<void> {
  try {
    await command.stdin.write(input, { signal });
    await command.stdin.close({ signal });
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
  }
}

/** A kill after a failure goes on in the background no longer than this. */
const KILL_TIMEOUT_MS = 10_000;
