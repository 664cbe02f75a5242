import { readJson } from "./body.ts";
import { Command } from "./command.ts";
import { openScope, withDeadline } from "./deadline.ts";
import { ConflictError } from "./errors.ts";
import { readOutput } from "./output.ts";
import { collectText, DEFAULT_MAX_OUTPUT_BYTES } from "./output-text.ts";
import type { CallOptions } from "./options.ts";
import { parseCommandId } from "./parse.ts";
import type { Transport } from "./transport.ts";
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
      const command = await this.#start(args, options, signal);
      // One failing part ends the others.
      const scope = openScope(signal);
      try {
        return await this.#collect(command, options, scope.signal);
      } catch (error) {
        scope.abort(error);
        command.kill({ timeoutMs: KILL_TIMEOUT_MS }).catch(() => undefined);
        throw error;
      } finally {
        scope.close();
      }
    });
  }

  async #collect(command: Command, options: RunOptions, signal: AbortSignal): Promise<CommandResult> {
    const limit = options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
    const path = `${this.#path}/${encodeURIComponent(command.id)}`;
    const [exitCode, stdout, stderr] = await Promise.all([
      command.wait({ signal }),
      collectText(readOutput(this.#transport, `${path}/stdout`, signal), limit),
      collectText(readOutput(this.#transport, `${path}/stderr`, signal), limit),
      options.input === undefined ? undefined : feed(command, options.input, signal),
    ]);
    return { id: command.id, exitCode, stdout, stderr };
  }

  async #start(args: readonly string[], options: SpawnOptions, signal: AbortSignal | undefined): Promise<Command> {
    if (args.length === 0) throw new TypeError("A command needs at least one argument, the program.");
    const { env, cwd, timeoutSeconds, container, idempotencyKey = crypto.randomUUID() } = options;
    const body: CreateCommandBody = { args: [...args], env: env && { ...env }, cwd, timeoutSeconds };
    const id = await this.#transport.send(
      {
        method: "POST",
        path: this.#path,
        query: { container },
        headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
        body: { kind: "bytes", bytes: JSON.stringify(body) },
        repeatable: true,
        signal,
      },
      readJson(parseCommandId),
    );
    return new Command(this.#transport, this.#path, id);
  }
}

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
