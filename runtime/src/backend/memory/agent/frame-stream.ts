import { FRAME_IDLE_MS, FRAME_KIND } from "#api/agent.ts";
import type { Clock } from "#core/clock.ts";
import { encodeEndFrame, encodeFrameHeader, encodeLostFrame, IDLE_FRAME } from "#core/frames.ts";
import type { Journal } from "./journal.ts";

/** Most bytes of a frame. */
export const PAYLOAD_BYTES = 65_536;

export interface FrameStreamOptions {
  readonly offset: number;
  readonly clock: Clock;
  /** Breaks the stream, as a connection that is cut. */
  readonly signal: AbortSignal;
}

/** A journal from `offset` as frames: follows it to its end, one frame a pull. */
export function frameStream(
  journal: Journal,
  { offset, clock, signal: cut }: FrameStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = journal.attach(offset);
  const life = new AbortController();
  const leave = (): void => {
    life.abort();
    reader.detach();
  };
  return new ReadableStream(
    {
      start: (controller) => breakOn(cut, controller, { leave, life: life.signal }),
      async pull(controller) {
        const bytes = reader.take(PAYLOAD_BYTES) ?? (await nextBytes());
        if (cut.aborted) return;
        if (bytes === "idle") return controller.enqueue(IDLE_FRAME);
        if (bytes !== "end") return controller.enqueue(payloadFrame(FRAME_KIND.data, bytes));
        controller.enqueue(
          journal.lost === undefined ? encodeEndFrame(journal.state.end) : encodeLostFrame(journal.lost),
        );
        leave();
        controller.close();
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );

  async function nextBytes(): Promise<Uint8Array<ArrayBuffer> | "end" | "idle"> {
    const turn = new AbortController();
    const signal = AbortSignal.any([life.signal, turn.signal]);
    const idle = clock.sleep(FRAME_IDLE_MS, signal).then(() => "idle" as const);
    idle.catch(() => undefined);
    try {
      for (;;) {
        const bytes = reader.take(PAYLOAD_BYTES);
        if (bytes !== undefined) return bytes;
        if (journal.state.complete || journal.lost !== undefined) return "end";
        if ((await Promise.race([reader.changed(signal), idle])) === "idle") return "idle";
      }
    } finally {
      turn.abort();
    }
  }
}

/** Breaks a stream with the signal's reason, as a cut connection does, for as long as `life` goes on. */
export function breakOn(
  cut: AbortSignal,
  controller: ReadableStreamDefaultController,
  { leave, life }: { readonly leave: () => void; readonly life: AbortSignal },
): void {
  const onCut = (): void => {
    leave();
    controller.error(cut.reason);
  };
  cut.addEventListener("abort", onCut, { once: true, signal: life });
}

/** A frame with its payload. */
export function payloadFrame(kind: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const header = encodeFrameHeader(kind, bytes.length);
  const frame = new Uint8Array(header.length + bytes.length);
  frame.set(header);
  frame.set(bytes, header.length);
  return frame;
}
