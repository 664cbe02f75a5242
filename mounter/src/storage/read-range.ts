import type { Opened, StoreDriver } from "./driver.ts";
import type { ByteRange, StoreCall, StoredObject } from "./port.ts";
import { allowedMs, once, pauseAfter, seconds, type RetryPorts } from "./retry.ts";
import { isStoreError, StoreError } from "./store-error.ts";
import { untilAborted } from "./until-aborted.ts";

/** So many bytes between two cuts are progress: the count of attempts begins anew. */
const PROGRESS_BYTES = 65_536;

interface Reading extends StoreCall {
  readonly driver: StoreDriver;
  readonly ports: RetryPorts;
  readonly object: Pick<StoredObject, "key" | "version">;
  readonly what: string;
}

/** Bytes of a range of one version, exactly as many as asked for; after a cut it goes on where it was. */
export async function* readRange(range: ByteRange, reading: Reading): AsyncGenerator<Uint8Array, void, undefined> {
  const end = range.offset + range.sizeBytes;
  let at = range.offset;
  let number = 0;
  let resumedAt = at;
  while (at < end) {
    try {
      for await (const chunk of readOnce({ offset: at, sizeBytes: end - at }, reading)) {
        at += chunk.length;
        yield chunk;
      }
    } catch (error) {
      if (at - resumedAt >= PROGRESS_BYTES) [number, resumedAt] = [0, at];
      await pauseAfter(error, number, reading.ports, reading);
      number += 1;
    }
  }
}

/** One attempt: fails when it has not brought all of the range. */
async function* readOnce(range: ByteRange, reading: Reading): AsyncGenerator<Uint8Array, void, undefined> {
  const { signal, what } = reading;
  const end = new AbortController();
  const onAbort = (): void => end.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  let isWhole = false;
  try {
    const { body } = await open(range, reading, end);
    let readBytes = 0;
    for await (const chunk of withoutStalls(body, range, reading)) {
      readBytes += chunk.length;
      if (readBytes > range.sizeBytes) throw broken(`${what}: the store sent more bytes than were asked for.`);
      yield chunk;
    }
    if (readBytes < range.sizeBytes)
      throw broken(`${what}: the answer ended after ${readBytes} of ${range.sizeBytes} bytes.`);
    isWhole = true;
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!isWhole) end.abort(new Error("The reading is over"));
  }
}

async function open(range: ByteRange, reading: Reading, end: AbortController): Promise<Opened> {
  const { driver, ports, object, what } = reading;
  const opened = await once(ports, reading, (attempt) => {
    attempt.addEventListener("abort", () => end.abort(attempt.reason), { once: true });
    return driver.open(object.key, { ...range, version: object.version }, end.signal);
  }).catch((error: unknown) => {
    throw isStoreError(error, "absent") ? replaced(what) : error;
  });
  if (opened.object.version === object.version) return opened;
  throw replaced(what);
}

function replaced(what: string): StoreError {
  return new StoreError("changed", `${what}: the object was replaced or removed meanwhile; read it anew.`);
}

/**
 * Time counts only while the store is waited for: a slow reader is no stall. One timer watches all of an
 * answer, as a timer for each of its many pieces would cost more than moving them.
 */
async function* withoutStalls(
  body: AsyncIterable<Uint8Array>,
  { sizeBytes }: ByteRange,
  { ports: { clock, patience }, signal, what }: Reading,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = body[Symbol.asyncIterator]();
  const ended = new AbortController();
  const onAbort = (): void => ended.abort(signal.reason);
  const watching = new AbortController();
  const mostMs = allowedMs(patience, sizeBytes);
  let waitedMs = 0;
  let waitsSinceMs: number | undefined;
  let isOver = false;
  const watch = async (): Promise<void> => {
    for (let idleMs = 0; idleMs < patience.stallMs;) {
      await clock.sleep(patience.stallMs - idleMs, watching.signal);
      idleMs = waitsSinceMs === undefined ? 0 : clock.now() - waitsSinceMs;
    }
    ended.abort(broken(`${what}: no byte came for ${seconds(patience.stallMs)} s.`));
  };
  signal.throwIfAborted();
  signal.addEventListener("abort", onAbort, { once: true });
  watch().catch(() => undefined);
  try {
    for (;;) {
      const beganAtMs = clock.now();
      waitsSinceMs = beganAtMs;
      const next = await untilAborted(iterator.next(), ended.signal);
      waitsSinceMs = undefined;
      if (next.done === true) {
        isOver = true;
        return;
      }
      waitedMs += clock.now() - beganAtMs;
      if (waitedMs > mostMs) throw broken(`${what}: it is not there after ${seconds(mostMs)} s.`);
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    watching.abort(READING_IS_OVER);
    if (!isOver) void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

const READING_IS_OVER = "the reading is over";

function broken(message: string): StoreError {
  return new StoreError("unavailable", message);
}
