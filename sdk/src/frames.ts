import { COMMON_RULES, createFrameSplitter, IDLE, LOST, type FramePart, type FrameRule } from "./frame-splitter.ts";
import type { OutputDecoder, OutputEvent } from "./output-decoder.ts";

const DATA = 1;
const END = 3;

const RULES = new Map<number, FrameRule>([
  ...COMMON_RULES,
  [DATA, { payload: "pieces" }],
  [END, { payload: "whole", least: 8, most: 8, last: true }],
]);

/** Decodes the frames of one output stream. A body that stops without END or LOST was cut. */
export function createFrameDecoder(): OutputDecoder {
  const split = createFrameSplitter(RULES);
  function* push(piece: Uint8Array<ArrayBuffer>): Iterable<OutputEvent> {
    for (const part of split(piece)) yield toEvent(part);
  }
  return { push, finish: () => [] };
}

function toEvent({ kind, payload }: FramePart): OutputEvent {
  if (kind === DATA) return { kind: "data", bytes: payload };
  if (kind === IDLE) return { kind: "idle" };
  if (kind === LOST) return { kind: "lost", reason: new TextDecoder().decode(payload) };
  return { kind: "end", totalBytes: Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0)) };
}
