import { NO_XATTRS, type EntryHead } from "#mounter/archive/entry-head.ts";
import { createTarScanner } from "#mounter/archive/tar-scanner.ts";
import type { SampleEntry } from "./sample-layer.ts";

/** The entries of an archive with their data; throws where it is not whole. */
export function parseLayer(bytes: Uint8Array): SampleEntry[] {
  const found: { head: EntryHead; data: Uint8Array[] }[] = [];
  const scanner = createTarScanner(
    {
      entry: (head) => void found.push({ head, data: [] }),
      data: (some) => void found.at(-1)?.data.push(some),
    },
    bytes.length,
  );
  scanner.push(bytes);
  scanner.end();
  return found.map(({ head, data }) => ({
    head: head.xattrs.size === 0 ? { ...head, xattrs: NO_XATTRS } : head,
    data: new Uint8Array(Buffer.concat(data)),
  }));
}

/** All bytes of a stream, whose pieces are good only until the next is asked for. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const copies: Uint8Array[] = [];
  for await (const chunk of chunks) copies.push(Uint8Array.from(chunk));
  return new Uint8Array(Buffer.concat(copies));
}
