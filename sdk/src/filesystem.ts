import { concat, readPieces } from "./body.ts";
import { openScope, withDeadline, type Scope } from "./deadline.ts";
import { ConnectionError } from "./errors.ts";
import type { CallOptions } from "./options.ts";
import { expectNothing, type HttpRequest, type OpenResponse, type Transport } from "./transport.ts";
import { uploadBody, type Uploadable } from "./upload.ts";
import type { Watchdog } from "./watchdog.ts";

export interface FileOptions extends CallOptions {
  /** Needed when the sandbox has several containers. */
  readonly container?: string | undefined;
}

/** Largest file for which memory is set aside at once on the server's word. */
const MAX_RESERVED_BYTES = 2 * 1024 * 1024 * 1024;

/** Reads and writes files of a sandbox. A relative path starts at the working directory of the container's main process. */
export class Filesystem {
  readonly #transport: Transport;
  readonly #path: string;

  constructor(transport: Transport, sandboxPath: string) {
    this.#transport = transport;
    this.#path = `${sandboxPath}/filesystem`;
  }

  /** The whole file. */
  read(path: string, options: FileOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return withDeadline(options, "The download", (signal) =>
      this.#transport.send(this.#get(path, options, signal), readWhole),
    );
  }

  /**
   * The file as a stream that is read no faster than its consumer. A broken connection ends
   * it with an error. `timeoutMs` bounds the time to the first byte, `signal` the whole stream.
   */
  async readStream(path: string, options: FileOptions = {}): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const scope = openScope(options.signal);
    try {
      const opened = await withDeadline(options, "The download", () =>
        this.#transport.open(this.#get(path, options, scope.signal)),
      );
      return streamOf(opened, scope);
    } catch (error) {
      scope.abort(error);
      scope.close();
      throw error;
    }
  }

  /**
   * Creates or replaces a file, with its parent directories. The file changes in one step
   * when everything has arrived. A stream is sent once; other data again after a transient fault.
   */
  write(path: string, data: Uploadable, options: FileOptions = {}): Promise<void> {
    const { body, extraTimeMs } = uploadBody(data);
    return withDeadline(options, "The upload", (signal) =>
      this.#transport.send(
        {
          method: "POST",
          path: this.#path,
          query: { path, container: options.container },
          headers: { "content-type": "application/octet-stream" },
          body,
          repeatable: body.kind === "bytes",
          extraTimeMs,
          signal,
        },
        expectNothing,
      ),
    );
  }

  #get(path: string, options: FileOptions, signal: AbortSignal | undefined): HttpRequest {
    return { method: "GET", path: this.#path, query: { path, container: options.container }, repeatable: true, signal };
  }
}

async function readWhole(response: Response, watchdog: Watchdog): Promise<Uint8Array<ArrayBuffer>> {
  const sizeBytes = contentLength(response);
  if (sizeBytes !== undefined && sizeBytes <= MAX_RESERVED_BYTES) return readInto(response, watchdog, sizeBytes);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let seenBytes = 0;
  for await (const piece of readPieces(response.body, watchdog)) {
    pieces.push(piece);
    seenBytes += piece.length;
  }
  checkLength(sizeBytes, seenBytes);
  return concat(pieces, seenBytes);
}

async function readInto(response: Response, watchdog: Watchdog, sizeBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(sizeBytes);
  let seenBytes = 0;
  for await (const piece of readPieces(response.body, watchdog)) {
    if (seenBytes + piece.length <= sizeBytes) whole.set(piece, seenBytes);
    seenBytes += piece.length;
  }
  checkLength(sizeBytes, seenBytes);
  return whole;
}

function streamOf(opened: OpenResponse, scope: Scope): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { response, watchdog } = opened;
  const sizeBytes = contentLength(response);
  let seenBytes = 0;
  const pieces = readPieces(response.body, watchdog);
  const end = (): void => {
    opened.close();
    scope.close();
  };
  watchdog.rest();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const next = await pieces.next();
          if (next.done) {
            checkLength(sizeBytes, seenBytes);
            end();
            controller.close();
            return;
          }
          seenBytes += next.value.length;
          controller.enqueue(next.value);
        } catch (error) {
          end();
          throw opened.translate(error);
        }
      },
      async cancel(reason) {
        scope.abort(reason ?? new DOMException("The stream was cancelled.", "AbortError"));
        end();
        await pieces.return();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Undefined when the server does not say, or says it of the compressed body. */
function contentLength(response: Response): number | undefined {
  const value = response.headers.get("content-length");
  if (value === null || !/^\d{1,15}$/.test(value) || response.headers.has("content-encoding")) return undefined;
  return Number(value);
}

/** Not every runtime reports a body that was cut short. */
function checkLength(sizeBytes: number | undefined, seenBytes: number): void {
  if (sizeBytes === undefined || sizeBytes === seenBytes) return;
  throw new ConnectionError(`The download ended after ${seenBytes} of ${sizeBytes} bytes.`);
}
