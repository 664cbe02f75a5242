import type { Clock } from "#core/clock.ts";
import type { Frame } from "#core/frames.ts";
import { createAlarm, LATE } from "./alarm.ts";
import { closeOnce } from "./close-once.ts";
import { createSseEncoder, KEEPALIVE } from "./sse.ts";

export interface EventStreamOptions {
  /** Of the first byte. */
  readonly offset: number;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** Silence of the agent after which it counts as gone. */
  readonly stallMs: number;
  /** Called once, when the stream is over for whatever reason; with the reason when it broke. */
  onClose(error?: Error): void;
}

/** Frames of one output stream with the first read already asked for. */
export interface FrameSource {
  readonly frames: AsyncIterator<Frame, void>;
  readonly first: Promise<IteratorResult<Frame, void>>;
}

/**
 * Output as server-sent events, one chunk a pull: a reader that stalls stops the agent. The body
 * ends cleanly only when the agent said that the stream is complete; anything else breaks it, so
 * that the client comes back with the last id.
 */
export function createEventStream(
  { frames, first }: FrameSource,
  options: EventStreamOptions,
): ReadableStream<Uint8Array> {
  const { clock, heartbeatMs, stallMs } = options;
  const encoder = createSseEncoder(options.offset);
  const alarm = createAlarm(clock);
  let position = options.offset;
  let pending: Promise<IteratorResult<Frame, void>> | undefined = first;
  let dataAtMs = clock.now();
  let frameAtMs = dataAtMs;

  const onClose = closeOnce(alarm, (error) => options.onClose(error));

  async function next(): Promise<IteratorResult<Frame, void> | typeof LATE> {
    pending ??= frames.next();
    const result = await alarm.within(pending, Math.min(dataAtMs + heartbeatMs, frameAtMs + stallMs));
    if (result === LATE) return result;
    pending = undefined;
    frameAtMs = clock.now();
    return result;
  }

  /** What to send now; undefined when a frame brings nothing to send, "end" after the last. */
  async function step(): Promise<Uint8Array | "end" | undefined> {
    const result = await next();
    if (result === LATE) {
      if (clock.now() - frameAtMs >= stallMs) throw new Error("The agent fell silent in the middle of a stream");
      dataAtMs = clock.now();
      return KEEPALIVE;
    }
    if (result.done) throw new Error("The agent broke off in the middle of a stream");
    const frame = result.value;
    switch (frame.kind) {
      case "data":
        dataAtMs = frameAtMs;
        position += frame.bytes.length;
        return encoder.push(frame.bytes);
      case "idle":
        return undefined;
      case "lost":
        throw new Error(`The rest of the stream is lost: ${frame.reason}`);
      case "end":
        if (frame.totalBytes < position && position > options.offset)
          throw new Error("The agent ended a stream before its last byte");
        if (frame.totalBytes > position) throw new Error("The agent ended a stream after fewer bytes than it has");
        return "end";
    }
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            const bytes = await step();
            if (bytes === "end") {
              const tail = encoder.end();
              if (tail.length > 0) controller.enqueue(tail);
              controller.close();
              return onClose();
            }
            if (bytes !== undefined && bytes.length > 0) return controller.enqueue(bytes);
          }
        } catch (error) {
          const reason = error instanceof Error ? error : new Error("The stream broke", { cause: error });
          controller.error(reason);
          onClose(reason);
        }
      },
      cancel() {
        pending?.catch(() => undefined);
        onClose();
      },
    },
    { highWaterMark: 0 },
  );
}
