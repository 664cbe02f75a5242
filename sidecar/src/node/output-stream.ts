import { FRAME_IDLE_MS, FRAME_KIND } from "#api/agent-protocol.ts";
import type { Clock } from "#core/clock.ts";
import { encodeEndFrame, encodeLostFrame, IDLE_FRAME } from "#core/frames.ts";
import { ProblemError } from "#core/problem-error.ts";
import type { OutputOptions } from "../ports.ts";
import type { SessionStream } from "../domain/exec-session.ts";
import type { SegmentReader } from "./journal-store.ts";
import { readFrame } from "./read-frame.ts";

/** As much as a Unix socket takes at once by default, headers included: what is left over would be copied and sent later. */
const CHUNK_BYTES = 192 << 10;

export interface OutputDeps {
  readonly clock: Clock;
  readonly segments: SegmentReader;
  /** A reader has moved or left: a writer that waits for it may go on. */
  readonly onProgress: () => void;
}

/**
 * Frames of one stream from `offset` until its end. The reader holds back the dropping of bytes
 * it has not got, and so the writer, until it leaves.
 */
export function openOutputStream(
  stream: SessionStream,
  options: OutputOptions,
  deps: OutputDeps,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (options.offset < stream.first) {
    throw new ProblemError(
      "output-gone",
      `The byte ${options.offset} is no longer kept, the first one is ${stream.first}.`,
      { firstByte: stream.first },
    );
  }
  const reader = { offset: options.offset };
  const left = new AbortController();
  stream.readers.add(reader);
  const leave = (): void => {
    left.abort();
    options.signal.removeEventListener("abort", leave);
    if (!stream.readers.delete(reader)) return;
    deps.segments.close();
    options.onClosed();
    deps.onProgress();
  };
  options.signal.addEventListener("abort", leave, { once: true });
  if (options.signal.aborted) leave();

  function nextData(): Uint8Array<ArrayBuffer> {
    const frame = readFrame({ stream, reader, segments: deps.segments }, FRAME_KIND.data, CHUNK_BYTES);
    deps.onProgress();
    return frame;
  }

  let begun = false;
  async function next(): Promise<{ readonly frame: Uint8Array<ArrayBuffer>; readonly last: boolean }> {
    for (;;) {
      if (reader.offset < stream.end) return { frame: nextData(), last: false };
      if (stream.complete) return { frame: encodeEndFrame(stream.end), last: true };
      if (stream.lost) return { frame: encodeLostFrame("The agent restarted while the command ran."), last: true };
      // The first frame carries the response's head with it, so a silent command's reader is answered at once.
      if (!begun || !(await grown(stream, deps.clock, left.signal))) return { frame: IDLE_FRAME.slice(), last: false };
    }
  }

  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { frame, last } = await next();
          begun = true;
          controller.enqueue(frame);
          if (!last) return;
          leave();
          controller.close();
        } catch (error) {
          leave();
          throw error;
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}

/** True when the stream has changed, false after the idle time. Rejects when the signal aborts. */
async function grown(stream: SessionStream, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const idle = new AbortController();
  const stop = AbortSignal.any([idle.signal, signal]);
  let wake = (): void => undefined;
  const change = new Promise<true>((resolve) => {
    wake = () => resolve(true);
    stream.wakers.add(wake);
  });
  try {
    return await Promise.race([change, clock.sleep(FRAME_IDLE_MS, stop).then(() => false)]);
  } finally {
    stream.wakers.delete(wake);
    idle.abort();
  }
}
