import { FRAME_HEADER_BYTES, FRAME_KIND, FRAME_MAX_PAYLOAD_BYTES } from "#api/agent-protocol.ts";

/** One frame of an output stream. A long DATA frame may arrive as several `data` pieces, in order. */
export type Frame =
  | { readonly kind: "data"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "idle" }
  | { readonly kind: "end"; readonly totalBytes: number }
  | { readonly kind: "lost"; readonly reason: string };

/** Longest reason in a LOST frame, in bytes of UTF-8; longer ones are cut by the encoder and refused by the decoder. */
export const FRAME_MAX_REASON_BYTES = 1024;
const END_PAYLOAD_BYTES = 8;

/** An IDLE frame. */
export const IDLE_FRAME: Uint8Array<ArrayBuffer> = encodeFrameHeader(FRAME_KIND.idle, 0);

/** The five bytes before a payload. Throws RangeError when the payload is longer than a frame may be. */
export function encodeFrameHeader(kind: number, payloadBytes: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  writeFrameHeader(header, kind, payloadBytes);
  return header;
}

/** Writes a header into the first five bytes of `target`: no allocation where frames are built in place. */
export function writeFrameHeader(target: Uint8Array, kind: number, payloadBytes: number): void {
  if (!Number.isInteger(payloadBytes) || payloadBytes < 0 || payloadBytes > FRAME_MAX_PAYLOAD_BYTES) {
    throw new RangeError(
      `Cannot encode a frame: payload of ${payloadBytes} bytes, must be 0 to ${FRAME_MAX_PAYLOAD_BYTES}`,
    );
  }
  const view = new DataView(target.buffer, target.byteOffset, FRAME_HEADER_BYTES);
  view.setUint8(0, kind);
  view.setUint32(1, payloadBytes);
}

/** The frame that says that the stream is complete at `totalBytes`. */
export function encodeEndFrame(totalBytes: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(totalBytes) || totalBytes < 0) {
    throw new RangeError(`Cannot encode an end frame: total of ${totalBytes} bytes is not a length`);
  }
  const frame = new Uint8Array(FRAME_HEADER_BYTES + END_PAYLOAD_BYTES);
  writeFrameHeader(frame, FRAME_KIND.end, END_PAYLOAD_BYTES);
  new DataView(frame.buffer).setBigUint64(FRAME_HEADER_BYTES, BigInt(totalBytes));
  return frame;
}

/** The frame that says that the rest of the stream does not exist. A long reason is cut. */
export function encodeLostFrame(reason: string): Uint8Array<ArrayBuffer> {
  const text = new Uint8Array(FRAME_MAX_REASON_BYTES);
  const { written } = new TextEncoder().encodeInto(reason, text);
  const frame = new Uint8Array(FRAME_HEADER_BYTES + written);
  writeFrameHeader(frame, FRAME_KIND.lost, written);
  frame.set(text.subarray(0, written), FRAME_HEADER_BYTES);
  return frame;
}

/**
 * The frames of a body. Data is handed on as it arrives, so memory is bounded by the body's
 * own chunks. Throws TypeError on a malformed frame or on bytes after END or LOST. A body that
 * was cut ends the iteration without `end` or `lost`: the caller treats that as broken. Leaving
 * the loop early cancels the body.
 */
export async function* decodeFrames(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Frame, void, undefined> {
  const reader = body.getReader();
  const parser = new FrameParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
    reader.releaseLock();
  }
}

/** Collects headers and short payloads over any split of the input; passes data through uncopied. */
class FrameParser {
  #held = new Uint8Array(0);
  #dataLeft = 0;
  #closed = false;

  *push(chunk: Uint8Array<ArrayBuffer>): Generator<Frame, void, undefined> {
    let rest = this.#held.length === 0 ? chunk : concat(this.#held, chunk);
    this.#held = new Uint8Array(0);
    while (rest.length > 0) {
      if (this.#closed) throw new TypeError("Cannot decode the stream: bytes after its last frame");
      if (this.#dataLeft > 0) {
        const bytes = rest.subarray(0, this.#dataLeft);
        this.#dataLeft -= bytes.length;
        rest = rest.subarray(bytes.length);
        yield { kind: "data", bytes };
        continue;
      }
      const size = frameSize(rest);
      if (size === undefined || (rest[0] !== FRAME_KIND.data && rest.length < size)) {
        this.#held = rest.slice();
        return;
      }
      if (rest[0] === FRAME_KIND.data) {
        this.#dataLeft = size - FRAME_HEADER_BYTES;
        rest = rest.subarray(FRAME_HEADER_BYTES);
        continue;
      }
      const frame = parseShortFrame(rest.subarray(0, size));
      this.#closed = frame.kind !== "idle";
      rest = rest.subarray(size);
      yield frame;
    }
  }
}

/** Bytes of the frame that starts here, header included; undefined while the header is incomplete. Throws when it is malformed. */
function frameSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const payloadBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  const [least, most] = payloadBounds(bytes[0] ?? 0);
  if (payloadBytes < least || payloadBytes > most) {
    throw new TypeError(`Cannot decode the stream: frame of kind ${bytes[0]} with a payload of ${payloadBytes} bytes`);
  }
  return FRAME_HEADER_BYTES + payloadBytes;
}

function payloadBounds(kind: number): readonly [number, number] {
  switch (kind) {
    case FRAME_KIND.data:
      return [1, FRAME_MAX_PAYLOAD_BYTES];
    case FRAME_KIND.idle:
      return [0, 0];
    case FRAME_KIND.end:
      return [END_PAYLOAD_BYTES, END_PAYLOAD_BYTES];
    case FRAME_KIND.lost:
      return [0, FRAME_MAX_REASON_BYTES];
    default:
      throw new TypeError(`Cannot decode the stream: unknown frame kind ${kind}`);
  }
}

function parseShortFrame(frame: Uint8Array): Frame {
  const payload = frame.subarray(FRAME_HEADER_BYTES);
  if (frame[0] === FRAME_KIND.idle) return { kind: "idle" };
  if (frame[0] === FRAME_KIND.lost) return { kind: "lost", reason: new TextDecoder().decode(payload) };
  const total = new DataView(payload.buffer, payload.byteOffset).getBigUint64(0);
  if (total > BigInt(Number.MAX_SAFE_INTEGER)) throw new TypeError(`Cannot decode the stream: total of ${total} bytes`);
  return { kind: "end", totalBytes: Number(total) };
}

function concat(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(head.length + tail.length);
  joined.set(head);
  joined.set(tail, head.length);
  return joined;
}
