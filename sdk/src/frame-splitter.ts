import { InvalidResponseError } from "./errors.ts";

/** Media type of framed answers. */
export const FRAMES_MEDIA_TYPE = "application/vnd.atoll.frames";

const HEADER_BYTES = 5;
const MAX_PIECES_BYTES = 1 << 20;

/** How the payload of one kind of frame comes. */
export type FrameRule =
  /** Handed on as it arrives, in one or more parts, without a copy. */
  | { readonly payload: "pieces" }
  /** Handed on when it is there, `least` to `most` bytes; nothing may follow a `last` frame. */
  | { readonly payload: "whole"; readonly least: number; readonly most: number; readonly last: boolean };

export interface FramePart {
  readonly kind: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** Frames common to all framed answers. */
export const IDLE = 2;
export const LOST = 4;
export const COMMON_RULES: readonly (readonly [number, FrameRule])[] = [
  [IDLE, { payload: "whole", least: 0, most: 0, last: false }],
  [LOST, { payload: "whole", least: 0, most: 64 * 1024, last: true }],
];

/**
 * Splits a body into frames, however it arrives: a kind byte, a 32-bit big-endian length, the
 * payload. A frame that no rule allows is an InvalidResponseError.
 */
export function createFrameSplitter(
  rules: ReadonlyMap<number, FrameRule>,
): (piece: Uint8Array<ArrayBuffer>) => Iterable<FramePart> {
  /** The header and a payload that comes whole: collected because either may be split anywhere. */
  let held = new Uint8Array(HEADER_BYTES);
  let heldBytes = 0;
  let passing: { readonly kind: number; leftBytes: number } | undefined;
  let closed = false;

  return function* split(piece) {
    let at = 0;
    while (at < piece.length) {
      if (closed) throw new InvalidResponseError("The answer goes on after its last frame.");
      if (passing !== undefined) {
        const end = Math.min(piece.length, at + passing.leftBytes);
        passing.leftBytes -= end - at;
        yield { kind: passing.kind, payload: piece.subarray(at, end) };
        if (passing.leftBytes === 0) passing = undefined;
        at = end;
        continue;
      }
      const end = Math.min(piece.length, at + held.length - heldBytes);
      held.set(piece.subarray(at, end), heldBytes);
      heldBytes += end - at;
      at = end;
      if (heldBytes === held.length) yield* complete();
    }
  };

  function* complete(): Iterable<FramePart> {
    const view = new DataView(held.buffer);
    const kind = view.getUint8(0);
    const payloadBytes = view.getUint32(1);
    const rule = checked(rules.get(kind), kind, payloadBytes);
    if (rule.payload === "pieces") {
      heldBytes = 0;
      if (payloadBytes > 0) passing = { kind, leftBytes: payloadBytes };
      return;
    }
    if (held.length < HEADER_BYTES + payloadBytes) {
      const grown = new Uint8Array(HEADER_BYTES + payloadBytes);
      grown.set(held);
      held = grown;
      return;
    }
    const payload = held.subarray(HEADER_BYTES);
    held = new Uint8Array(HEADER_BYTES);
    heldBytes = 0;
    closed = rule.last;
    yield { kind, payload };
  }
}

function checked(rule: FrameRule | undefined, kind: number, payloadBytes: number): FrameRule {
  const [least, most] =
    rule?.payload === "whole" ? [rule.least, rule.most] : [0, rule === undefined ? -1 : MAX_PIECES_BYTES];
  if (rule !== undefined && payloadBytes >= least && payloadBytes <= most) return rule;
  throw new InvalidResponseError(`The answer has a malformed frame (kind ${kind}, ${payloadBytes} bytes).`);
}
