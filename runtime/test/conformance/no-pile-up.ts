import { expect } from "vitest";

/**
 * Beside the journal a stalled reader may let at most this much pile up, in the memory of the gateway and all sockets
 * together: a Linux kernel lets the receiving end of one connection alone grow to 32 MiB.
 */
const MAX_PILED_UP_BYTES = 64 << 20;

/**
 * Reads an endless output of which another reader has stalled, until nothing comes any more: the
 * writer goes as far as the slowest reader lets it, so a second reader sees how far that is.
 */
export async function expectNoPileUp(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  journalBytes: number,
): Promise<void> {
  let bytes = 0;
  for (;;) {
    const result = await Promise.race([reader.read(), new Promise<undefined>((resolve) => setTimeout(resolve, 1500))]);
    if (result === undefined) break;
    bytes += result.value?.length ?? 0;
    expect(bytes).toBeLessThan(journalBytes + MAX_PILED_UP_BYTES);
  }
  expect(bytes).toBeGreaterThan(0);
}
