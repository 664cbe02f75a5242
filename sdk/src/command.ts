import { readJson } from "./body.ts";
import { sleep, withDeadline } from "./deadline.ts";
import { readOutput } from "./output.ts";
import { outputBytes, OutputText } from "./output-text.ts";
import type { CallOptions } from "./options.ts";
import { parseExitCode } from "./parse.ts";
import { Stdin } from "./stdin.ts";
import { expectNothing, type Transport } from "./transport.ts";
import type { Uploadable } from "./upload.ts";

/** Seconds of one long poll; servers allow 25. */
const LONG_POLL_SECONDS = 20;
/** A server that answers "still running" at once is asked again after this pause. */
const SHORT_POLL_PAUSE_MS = 100;

/** A command in a sandbox, running or ended. */
export class Command {
  readonly id: string;
  /** Standard output as text. */
  readonly stdout: OutputText;
  /** Standard error as text. */
  readonly stderr: OutputText;
  readonly stdin: Stdin;
  readonly #transport: Transport;
  readonly #path: string;
  #stdoutBytes: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #stderrBytes: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;

  constructor(transport: Transport, commandsPath: string, id: string) {
    this.id = id;
    this.#transport = transport;
    this.#path = `${commandsPath}/${encodeURIComponent(id)}`;
    this.stdout = new OutputText((signal) => readOutput(transport, `${this.#path}/stdout`, signal));
    this.stderr = new OutputText((signal) => readOutput(transport, `${this.#path}/stderr`, signal));
    this.stdin = new Stdin(transport, `${this.#path}/stdin`);
  }

  /** Standard output as bytes, unchanged. One stream: it can be read once. */
  get stdoutBytes(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return (this.#stdoutBytes ??= outputBytes((signal) => readOutput(this.#transport, `${this.#path}/stdout`, signal)));
  }

  /** Standard error as bytes, unchanged. One stream: it can be read once. */
  get stderrBytes(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return (this.#stderrBytes ??= outputBytes((signal) => readOutput(this.#transport, `${this.#path}/stderr`, signal)));
  }

  /** The exit code, or null while the command runs; -1 when a signal ended it. */
  exitCode(call: CallOptions = {}): Promise<number | null> {
    return withDeadline(call, "The question for the exit code", (signal) => this.#status(undefined, signal));
  }

  /**
   * Waits until the command has ended and returns its exit code, -1 when a signal ended it.
   * Giving up the wait leaves the command as it is. Throws OutcomeUnknownError when nobody saw it end.
   */
  wait(call: CallOptions = {}): Promise<number> {
    return withDeadline(call, "The wait for the command", async (signal) => {
      for (;;) {
        const startMs = performance.now();
        const exitCode = await this.#status(LONG_POLL_SECONDS, signal);
        if (exitCode !== null) return exitCode;
        if (performance.now() - startMs < SHORT_POLL_PAUSE_MS) await sleep(SHORT_POLL_PAUSE_MS, signal);
      }
    });
  }

  /** Kills the command and its process group. No fault when it has ended already; its output stays. */
  kill(call: CallOptions = {}): Promise<void> {
    return withDeadline(call, "The kill of the command", (signal) =>
      this.#transport.send({ method: "DELETE", path: this.#path, repeatable: true, signal }, expectNothing),
    );
  }

  /** The same as `stdin.write`. */
  writeStdin(data: Uploadable, call: CallOptions = {}): Promise<void> {
    return this.stdin.write(data, call);
  }

  /** The same as `stdin.close`. */
  closeStdin(call: CallOptions = {}): Promise<void> {
    return this.stdin.close(call);
  }

  #status(waitSeconds: number | undefined, signal: AbortSignal | undefined): Promise<number | null> {
    return this.#transport.send(
      {
        method: "GET",
        path: `${this.#path}/status`,
        query: { waitSeconds: waitSeconds?.toString() },
        repeatable: true,
        extraTimeMs: (waitSeconds ?? 0) * 1000,
        signal,
      },
      readJson(parseExitCode),
    );
  }
}
