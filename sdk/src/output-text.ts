import { concat } from "./body.ts";
import { OutputTooLargeError } from "./errors.ts";
import { openScope } from "./deadline.ts";

/** Opens an output stream at its first byte. */
export type OpenOutput = (signal: AbortSignal | undefined) => AsyncGenerator<Uint8Array<ArrayBuffer>, void, void>;

/**
 * Standard output or standard error of a command as text. Iterating follows the stream to
 * its end; each iteration starts again at the first byte, for the server keeps the output.
 */
export class OutputText implements AsyncIterable<string> {
  readonly #open: OpenOutput;

  constructor(open: OpenOutput) {
    this.#open = open;
  }

  [Symbol.asyncIterator](): AsyncGenerator<string, void, void> {
    return this.iter();
  }

  /** The text as it arrives. Broken UTF-8 becomes U+FFFD; a character is never split. */
  async *iter(options: { readonly signal?: AbortSignal | undefined } = {}): AsyncGenerator<string, void, void> {
    const decoder = newDecoder();
    for await (const bytes of this.#open(options.signal)) {
      const text = decoder.decode(bytes, { stream: true });
      if (text !== "") yield text;
    }
    const tail = decoder.decode();
    if (tail !== "") yield tail;
  }

  /** The whole text, once the stream has ended. Default limit: 256 MiB. */
  async read(
    options: { readonly signal?: AbortSignal | undefined; readonly maxOutputBytes?: number | undefined } = {},
  ): Promise<string> {
    const collector = createTextCollector(options.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES);
    await collect(this.#open(options.signal), collector);
    return collector.text();
  }
}

/** Below the longest string of every runtime. */
export const DEFAULT_MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** Output as it is collected. */
export interface TextCollector {
  readonly sizeBytes: number;
  /** Throws OutputTooLargeError beyond the limit. */
  add(piece: Uint8Array<ArrayBuffer>): void;
  text(): string;
}

/** Keeps pieces and decodes them once, at the end: joining strings a piece costs many times more. */
export function createTextCollector(maxOutputBytes: number): TextCollector {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let sizeBytes = 0;
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    add(piece) {
      sizeBytes += piece.length;
      if (sizeBytes > maxOutputBytes) {
        throw new OutputTooLargeError(
          `The command wrote more than ${maxOutputBytes} bytes; spawn it and read its output as a stream.`,
        );
      }
      pieces.push(piece);
    },
    text: () => (sizeBytes === 0 ? "" : newDecoder().decode(concat(pieces, sizeBytes))),
  };
}

/** Adds the whole stream. */
export async function collect(stream: AsyncIterable<Uint8Array<ArrayBuffer>>, into: TextCollector): Promise<void> {
  for await (const piece of stream) into.add(piece);
}

/** The stream's bytes, one piece for each the consumer asks for; cancelling ends the connection at once. */
export function outputBytes(open: OpenOutput): ReadableStream<Uint8Array<ArrayBuffer>> {
  const scope = openScope();
  const source = open(scope.signal);
  return new ReadableStream(
    {
      async pull(controller) {
        const next = await source.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel(reason) {
        scope.abort(reason ?? new DOMException("The stream was cancelled.", "AbortError"));
        await source.return();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Keeps a byte order mark: output is what the program wrote. */
function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}
