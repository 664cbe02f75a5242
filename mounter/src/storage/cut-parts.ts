import type { Part } from "./driver.ts";
import { untilAborted } from "./until-aborted.ts";

/** Buffers of one size that are used again: what is under way at once bounds how many there are. */
export interface PartBuffers {
  take(): Uint8Array;
  /** For a buffer that nobody reads any more. */
  give(buffer: Uint8Array): void;
}

export function createPartBuffers(partBytes: number): PartBuffers {
  const free: Uint8Array[] = [];
  return {
    take: () => free.pop() ?? new Uint8Array(partBytes),
    give: (buffer) => void free.push(new Uint8Array(buffer.buffer)),
  };
}

/** Cuts a stream into parts of exactly `partBytes`, the last one shorter; an empty stream is one empty part. */
export async function* cutParts(
  source: AsyncIterable<Uint8Array>,
  { partBytes, buffers, signal }: { partBytes: number; buffers: PartBuffers; signal: AbortSignal },
): AsyncGenerator<Part, void, undefined> {
  let buffer = buffers.take();
  let used = 0;
  let index = 0;
  const part = (isLast: boolean): Part => ({
    index,
    offset: index * partBytes,
    bytes: buffer.subarray(0, used),
    isLast,
  });
  for await (const chunk of withSignal(source, signal)) {
    for (let at = 0; at < chunk.length;) {
      // Only when more follows: the last part is known as such before it is sent.
      if (used === partBytes) {
        yield part(false);
        index += 1;
        buffer = buffers.take();
        used = 0;
      }
      const fits = chunk.subarray(at, at + partBytes - used);
      buffer.set(fits, used);
      used += fits.length;
      at += fits.length;
    }
  }
  yield part(true);
}

/** A source that hangs does not hold the reader back once the signal fires. */
async function* withSignal<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      const { value, done } = await untilAborted(iterator.next(), signal);
      if (done === true) {
        isOver = true;
        return;
      }
      yield value;
    }
  } finally {
    // A hanging source cannot answer: nobody waits for it.
    if (!isOver) void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}
