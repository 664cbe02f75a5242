import { withDeadline } from "./deadline.ts";
import type { CallOptions } from "./options.ts";
import { expectNothing, type Transport } from "./transport.ts";
import { uploadBody, type Uploadable } from "./upload.ts";

/**
 * Standard input of a command. Writes arrive in the order of the calls. A write is never
 * repeated: after a broken connection nobody knows how many of its bytes the program has
 * read, and sending them again could give it some of them twice. So a failed write fails
 * all later ones with the same error, and the caller decides.
 */
export class Stdin {
  readonly #transport: Transport;
  readonly #path: string;
  #previous: Promise<void> = Promise.resolve();

  constructor(transport: Transport, path: string) {
    this.#transport = transport;
    this.#path = path;
  }

  /**
   * Resolves when the server has written all of it into the pipe: a program that does not
   * read makes it wait, without a limit but the caller's own.
   */
  write(data: Uploadable, call: CallOptions = {}): Promise<void> {
    const { body } = uploadBody(data);
    return this.#enqueue(() =>
      withDeadline(call, "The write to standard input", (signal) =>
        this.#transport.send(
          {
            method: "POST",
            path: this.#path,
            headers: { "content-type": "application/octet-stream" },
            body,
            repeatable: false,
            extraTimeMs: Infinity,
            signal,
          },
          expectNothing,
        ),
      ),
    );
  }

  /** Ends the input: the program reads an end of file. Closing twice is a ConflictError. */
  close(call: CallOptions = {}): Promise<void> {
    return this.#enqueue(() =>
      withDeadline(call, "The end of standard input", (signal) =>
        this.#transport.send({ method: "POST", path: `${this.#path}/close`, repeatable: false, signal }, expectNothing),
      ),
    );
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#previous.then(work);
    this.#previous = done;
    // The caller sees the failure; the chain's own copy of it must not count as unhandled.
    done.catch(() => undefined);
    return done;
  }
}
