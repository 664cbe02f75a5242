import { COMMON_RULES, createFrameSplitter, IDLE, LOST, type FramePart, type FrameRule } from "./frame-splitter.ts";

const STDOUT = 5;
const STDERR = 6;
const EXITED = 7;

const RULES = new Map<number, FrameRule>([
  ...COMMON_RULES,
  [STDOUT, { payload: "pieces" }],
  [STDERR, { payload: "pieces" }],
  [EXITED, { payload: "whole", least: 20, most: 20, last: true }],
]);

/** What the run of a command consists of. */
export type RunEvent =
  | { readonly kind: "stdout" | "stderr"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "idle" }
  /** The end; the lengths are those of the whole streams. */
  | { readonly kind: "exited"; readonly exitCode: number; readonly stdoutBytes: number; readonly stderrBytes: number }
  | { readonly kind: "lost"; readonly reason: string };

/** Decodes the frames of a run, piece by piece. A body that stops without EXITED or LOST was cut. */
export function createRunDecoder(): (piece: Uint8Array<ArrayBuffer>) => Iterable<RunEvent> {
  const split = createFrameSplitter(RULES);
  return function* push(piece) {
    for (const part of split(piece)) yield toEvent(part);
  };
}

function toEvent({ kind, payload }: FramePart): RunEvent {
  if (kind === STDOUT) return { kind: "stdout", bytes: payload };
  if (kind === STDERR) return { kind: "stderr", bytes: payload };
  if (kind === IDLE) return { kind: "idle" };
  if (kind === LOST) return { kind: "lost", reason: new TextDecoder().decode(payload) };
  const view = new DataView(payload.buffer, payload.byteOffset);
  return {
    kind: "exited",
    exitCode: view.getInt32(0),
    stdoutBytes: Number(view.getBigUint64(4)),
    stderrBytes: Number(view.getBigUint64(12)),
  };
}
