import { readPieces } from "./body.ts";
import { sleep } from "./deadline.ts";
import { ConnectionError, InvalidResponseError, OutcomeUnknownError } from "./errors.ts";
import { FRAMES_MEDIA_TYPE } from "./frame-splitter.ts";
import { createFrameDecoder } from "./frames.ts";
import type { OutputDecoder, OutputEvent } from "./output-decoder.ts";
import { isTransient, retryDelayMs } from "./retry.ts";
import { createSseDecoder, SSE_MEDIA_TYPE } from "./sse.ts";
import type { OpenResponse, Transport } from "./transport.ts";

const ACCEPT = `${FRAMES_MEDIA_TYPE}, ${SSE_MEDIA_TYPE};q=0.5`;

/**
 * The bytes of one output stream from `fromOffset` to the last, each exactly once. Nothing is
 * read ahead of the consumer. A broken or silent connection is opened again at the offset
 * reached; only the server's own end mark ends the stream.
 */
export async function* readOutput(
  transport: Transport,
  path: string,
  signal?: AbortSignal,
  fromOffset = 0,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  let offset = fromOffset;
  let resumable = true;
  let failures = 0;
  for (;;) {
    let fault: unknown;
    let progressed = false;
    try {
      for await (const event of readConnection(transport, path, offset, signal)) {
        // Even silence that the server vouches for is progress: a quiet command may outlive many connections.
        progressed = true;
        switch (event.kind) {
          case "data":
            resumable = event.nextOffset !== null;
            offset = event.nextOffset ?? offset + event.bytes.length;
            yield event.bytes;
            break;
          case "idle":
            break;
          case "end":
            checkLength(path, event.totalBytes, offset);
            return;
          case "lost":
            throw outcomeUnknown(path, event.reason);
        }
      }
      fault = new ConnectionError(`GET ${path} was cut after ${offset} bytes.`);
    } catch (error) {
      if (signal?.aborted || !isTransient(error)) throw error;
      fault = error;
    }
    if (!resumable) throw fault;
    failures = progressed ? 0 : failures + 1;
    if (failures > transport.maxRetries) throw fault;
    if (failures > 0) await sleep(retryDelayMs(failures - 1, fault), signal);
  }
}

/** One connection from an offset on, until its body ends or breaks. */
async function* readConnection(
  transport: Transport,
  path: string,
  offset: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<OutputEvent, void, void> {
  const headers = { accept: ACCEPT, ...(offset === 0 ? {} : { "last-event-id": String(offset) }) };
  let opened: OpenResponse | undefined;
  try {
    opened = await transport.open({ method: "GET", path, headers, repeatable: false, signal });
    const decoder = decoderFor(path, opened.response);
    for await (const piece of readPieces(opened.response.body, opened.watchdog)) yield* decoder.push(piece);
    yield* decoder.finish();
  } catch (error) {
    throw opened === undefined ? error : opened.translate(error);
  } finally {
    opened?.close();
  }
}

function decoderFor(path: string, response: Response): OutputDecoder {
  const mediaType = mediaTypeOf(response);
  if (mediaType === FRAMES_MEDIA_TYPE) return createFrameDecoder();
  if (mediaType === SSE_MEDIA_TYPE) return createSseDecoder();
  throw new InvalidResponseError(
    `GET ${path} was answered with "${mediaType ?? "no content type"}", not an output stream.`,
  );
}

/** The media type of an answer, without parameters. */
export function mediaTypeOf(response: Response): string | undefined {
  return response.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
}

function checkLength(path: string, totalBytes: number | undefined, offset: number): void {
  if (totalBytes === undefined || totalBytes === offset) return;
  throw new InvalidResponseError(`GET ${path} ended after ${offset} bytes, but has ${totalBytes}.`);
}

/** The error for what nobody knows. */
export function outcomeUnknown(path: string, reason: string): OutcomeUnknownError {
  const message = reason === "" ? "The rest of the output was lost, nobody saw the command end." : reason;
  return new OutcomeUnknownError(message, { status: 409, method: "GET", path, slug: "outcome-unknown" });
}
