import { closeSync } from "node:fs";
import { ProblemError } from "#core/problem-error.ts";

export interface StandardInputDeps {
  /** Writes what fits; a negative number is an errno. */
  readonly write: (fd: number, bytes: Uint8Array) => number;
  /** Asks for one call of `onReady`. */
  readonly awaitReady: (fd: number) => void;
  /** Name of an errno. */
  readonly errorName: (number: number) => string;
}

/** The end of a body may lie behind the end of a command that read all of it: so long it is waited for. */
const LAST_WORD_MS = 250;

const pause = (ms: number): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), ms));

/** The writing end of a command's standard input. Bodies are written one after the other, whole. */
export class StandardInput {
  readonly #deps: StandardInputDeps;
  #fd: number | undefined;
  #ended = false;
  #turn: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;
  readonly #over = Promise.withResolvers<undefined>();

  constructor(fd: number, deps: StandardInputDeps) {
    this.#fd = fd;
    this.#deps = deps;
  }

  /** Appends a body, waiting for the command to take it: memory holds one chunk of it. */
  write(body: ReadableStream<Uint8Array<ArrayBuffer>> | null): Promise<void> {
    return this.#exclusive(async () => {
      const reader = body?.getReader();
      try {
        this.#open();
        for (let chunk = await this.#next(reader); chunk !== undefined; chunk = await this.#next(reader)) {
          await this.#writeAll(chunk);
        }
      } finally {
        await reader?.cancel().catch(() => undefined);
      }
    });
  }

  /** The command reads end of file once it has read what was written before. */
  close(): Promise<void> {
    return this.#exclusive(async () => {
      this.#open();
      this.#release();
    });
  }

  /** The descriptor can be written, or has lost its reader. */
  onReady(): void {
    this.#wake();
  }

  /** The command has ended. */
  end(): void {
    this.#ended = true;
    this.#release();
    this.#over.resolve(undefined);
    this.#wake();
  }

  /** The next chunk; undefined at the body's end. A command that has ended takes no more, but a body it took whole was taken. */
  async #next(
    reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined,
  ): Promise<Uint8Array | undefined> {
    const read = reader?.read();
    if (read === undefined) return undefined;
    const isOver = (await Promise.race([read, this.#over.promise])) === undefined;
    const last = isOver ? await Promise.race([read, pause(LAST_WORD_MS)]) : await read;
    return last?.done === true ? undefined : (last?.value ?? this.#refuse());
  }

  #refuse(): never {
    throw new ProblemError("command-ended", "The command has ended.");
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const fd = this.#open();
      const written = this.#deps.write(fd, bytes.subarray(at));
      if (written >= 0) {
        at += written;
        continue;
      }
      const error = this.#deps.errorName(written);
      if (error === "EPIPE") {
        this.#release();
        throw new ProblemError("stdin-closed", "The command has closed its standard input.");
      }
      if (error !== "EAGAIN" && error !== "EINTR") throw new Error(`Cannot write to standard input: ${error}`);
      const ready = new Promise<void>((resolve) => (this.#wake = resolve));
      this.#deps.awaitReady(fd);
      await ready;
    }
  }

  /** The descriptor; throws when there is nothing to write to any more. */
  #open(): number {
    if (this.#ended) this.#refuse();
    if (this.#fd === undefined) throw new ProblemError("stdin-closed", "The command's standard input is closed.");
    return this.#fd;
  }

  #release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #exclusive(action: () => Promise<void>): Promise<void> {
    const result = this.#turn.then(action);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
