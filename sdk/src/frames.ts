import { InvalidResponseError } from "./errors.ts";
import type { OutputDecoder, OutputEvent } from "./output-decoder.ts";

/** Media type of framed output. */
export const FRAMES_MEDIA_TYPE = "application/vnd.atoll.frames";

const DATA = 1;
const IDLE = 2;
const END = 3;
const LOST = 4;
const HEADER_BYTES = 5;
const MAX_PAYLOAD_BYTES = 1 << 20;
const MAX_REASON_BYTES = 64 * 1024;

/**
 * Decodes frames: a kind byte, a 32-bit big-endian length, the payload. Data is handed on
 * without a copy and without waiting for the rest of its frame. A body that stops without
 * END or LOST was cut.
 */
export function createFrameDecoder(): OutputDecoder {
  /** The header and, for END and LOST, the payload: collected because either may be split anywhere. */
  let held = new Uint8Array(HEADER_BYTES);
  let heldBytes = 0;
  let dataLeftBytes = 0;
  let closed = false;

  function* push(piece: Uint8Array<ArrayBuffer>): Iterable<OutputEvent> {
    let at = 0;
    while (at < piece.length) {
      if (closed) throw new InvalidResponseError("The output stream goes on after its end.");
      if (dataLeftBytes > 0) {
        const end = Math.min(piece.length, at + dataLeftBytes);
        dataLeftBytes -= end - at;
        yield { kind: "data", bytes: piece.subarray(at, end) };
        at = end;
        continue;
      }
      const end = Math.min(piece.length, at + held.length - heldBytes);
      held.set(piece.subarray(at, end), heldBytes);
      heldBytes += end - at;
      at = end;
      if (heldBytes === held.length) yield* complete();
    }
  }

  function* complete(): Iterable<OutputEvent> {
    const view = new DataView(held.buffer);
    const kind = view.getUint8(0);
    const payloadBytes = view.getUint32(1);
    checkHeader(kind, payloadBytes);
    if (kind === DATA || kind === IDLE) {
      dataLeftBytes = payloadBytes;
      heldBytes = 0;
      if (kind === IDLE) yield { kind: "idle" };
    } else if (held.length < HEADER_BYTES + payloadBytes) {
      const grown = new Uint8Array(HEADER_BYTES + payloadBytes);
      grown.set(held);
      held = grown;
    } else if (kind === END) {
      closed = true;
      yield { kind: "end", totalBytes: Number(view.getBigUint64(HEADER_BYTES)) };
    } else {
      closed = true;
      yield { kind: "lost", reason: new TextDecoder().decode(held.subarray(HEADER_BYTES)) };
    }
  }

  return { push, finish: () => [] };
}

function checkHeader(kind: number, payloadBytes: number): void {
  const allowed =
    (kind === DATA && payloadBytes <= MAX_PAYLOAD_BYTES) ||
    (kind === IDLE && payloadBytes === 0) ||
    (kind === END && payloadBytes === 8) ||
    (kind === LOST && payloadBytes <= MAX_REASON_BYTES);
  if (allowed) return;
  throw new InvalidResponseError(`The output stream has a malformed frame (kind ${kind}, ${payloadBytes} bytes).`);
}
