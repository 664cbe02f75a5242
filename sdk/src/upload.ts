import type { RequestBody, UploadStream } from "./transport.ts";
import type { Watchdog } from "./watchdog.ts";

/** What can be written to a file or to standard input; text is sent as UTF-8. */
export type Uploadable =
  | string
  | Uint8Array
  | ArrayBuffer
  | Blob
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>;

/** Slowest upload that is still waited for: one second more for each of these. */
const BYTES_PER_EXTRA_SECOND = 256 * 1024;

/** The body for given data, and how much longer than a small request it may take. */
export function uploadBody(data: Uploadable): { body: RequestBody; extraTimeMs: number } {
  if (typeof data === "string") return whole(new TextEncoder().encode(data));
  if (data instanceof Blob) return whole(data);
  if (data instanceof ArrayBuffer) return whole(new Uint8Array(data));
  if (data instanceof Uint8Array) return whole(data as Uint8Array<ArrayBuffer>);
  return { body: { kind: "stream", open: (watchdog) => openUpload(iterate(data), watchdog) }, extraTimeMs: 0 };
}

function whole(bytes: Uint8Array<ArrayBuffer> | Blob): { body: RequestBody; extraTimeMs: number } {
  const sizeBytes = bytes instanceof Blob ? bytes.size : bytes.length;
  return { body: { kind: "bytes", bytes }, extraTimeMs: (sizeBytes / BYTES_PER_EXTRA_SECOND) * 1000 };
}

/**
 * A stream that takes one piece from the source when the connection wants one. The watchdog
 * rests while the source is slow and runs while the connection is.
 */
function openUpload(source: AsyncIterator<Uint8Array | string>, watchdog: Watchdog): UploadStream {
  const encoder = new TextEncoder();
  let fault: unknown;
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        watchdog.rest();
        try {
          const piece = await nextPiece(source);
          watchdog.arm();
          if (piece === undefined) controller.close();
          else controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
        } catch (error) {
          watchdog.arm();
          fault = error ?? new Error("The source of the upload failed.");
          controller.error(fault);
        }
      },
      async cancel() {
        await source.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, fault: () => fault };
}

/** The next piece that is not empty: an empty one would end a chunked body early. */
async function nextPiece(source: AsyncIterator<Uint8Array | string>): Promise<Uint8Array | string | undefined> {
  for (;;) {
    const next = await source.next();
    if (next.done) return undefined;
    if (next.value.length > 0) return next.value;
  }
}

function iterate(
  data: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array | string>,
): AsyncIterator<Uint8Array | string> {
  if (!(data instanceof ReadableStream)) return data[Symbol.asyncIterator]();
  // Not every runtime can iterate a stream.
  const reader = data.getReader();
  return {
    async next() {
      const next = await reader.read();
      return next.done ? { done: true, value: undefined } : { done: false, value: next.value };
    },
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}
