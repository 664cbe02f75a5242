import type { Clock } from "#core/clock.ts";
import { createAlarm, LATE } from "./alarm.ts";
import { closeOnce } from "./close-once.ts";

export interface GuardOptions {
  readonly clock: Clock;
  /** Longest silence before the body counts as broken; absent = no limit. */
  readonly stallMs?: number;
  /** Exact length that was promised; fewer or more bytes break the body. */
  readonly expectedBytes?: number | undefined;
  /** Called once, when the body is over for whatever reason; with the reason when it broke. */
  onClose(error?: Error): void;
}

/**
 * Passes a body on, one chunk a pull, and never turns a broken one into a clean end: neither a
 * silent peer nor a length that differs from the promised one.
 */
export function guardBody(body: ReadableStream<Uint8Array>, options: GuardOptions): ReadableStream<Uint8Array> {
  const { clock, stallMs, expectedBytes } = options;
  const reader = body.getReader();
  const alarm = createAlarm(clock);
  let seenBytes = 0;

  const onClose = closeOnce(alarm, (error) => options.onClose(error));
  const next = async (): ReturnType<typeof reader.read> => {
    if (stallMs === undefined) return reader.read();
    const result = await alarm.within(reader.read(), clock.now() + stallMs);
    if (result === LATE) throw new Error(`The body was silent for ${stallMs} ms`);
    return result;
  };
  const read = async (): Promise<Uint8Array | undefined> => {
    const { done, value } = await next();
    seenBytes += value?.length ?? 0;
    const wrong = expectedBytes !== undefined && (done ? seenBytes !== expectedBytes : seenBytes > expectedBytes);
    if (wrong)
      throw new Error(
        `The body has ${done ? "" : "more than "}${seenBytes} bytes where ${expectedBytes} were promised`,
      );
    return done ? undefined : value;
  };

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const value = await read();
          if (value !== undefined) return controller.enqueue(value);
          controller.close();
          onClose();
        } catch (error) {
          const reason = error instanceof Error ? error : new Error("The body broke", { cause: error });
          controller.error(reason);
          reader.cancel(reason).catch(() => undefined);
          onClose(reason);
        }
      },
      async cancel(reason) {
        onClose();
        await reader.cancel(reason).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
