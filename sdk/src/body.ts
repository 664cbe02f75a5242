import { InvalidResponseError } from "./errors.ts";
import type { Watchdog } from "./watchdog.ts";

/** Pieces of a body as they arrive; the watchdog runs only while a piece is awaited. */
export async function* readPieces(
  body: ReadableStream<Uint8Array> | null,
  watchdog: Watchdog,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  if (body === null) return;
  const reader = body.getReader();
  let ended = false;
  try {
    for (;;) {
      watchdog.arm();
      const next = await reader.read();
      watchdog.rest();
      if (next.done) {
        ended = true;
        return;
      }
      if (next.value.length > 0) yield next.value as Uint8Array<ArrayBuffer>;
    }
  } finally {
    // Without the cancel the connection of an abandoned body stays busy.
    if (!ended) reader.cancel().catch(() => undefined);
  }
}

/** A JSON answer of bounded size, checked by `parse`, which throws on a shape that is not the API's. */
export function readJson<T>(parse: (value: unknown) => T) {
  return async (response: Response, watchdog: Watchdog): Promise<T> => {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let sizeBytes = 0;
    for await (const piece of readPieces(response.body, watchdog)) {
      sizeBytes += piece.length;
      if (sizeBytes > MAX_JSON_BYTES) {
        throw new InvalidResponseError(`The answer of the server is larger than ${MAX_JSON_BYTES} bytes.`);
      }
      pieces.push(piece);
    }
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder().decode(concat(pieces, sizeBytes)));
    } catch (cause) {
      throw new InvalidResponseError(`The answer of the server (status ${response.status}) is not JSON.`, { cause });
    }
    return parse(value);
  };
}

/** One array of all pieces; a single piece is handed on as it is. */
export function concat(pieces: readonly Uint8Array<ArrayBuffer>[], sizeBytes: number): Uint8Array<ArrayBuffer> {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first;
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Far above any answer of the API; keeps a wrong address from filling the memory. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;
