import type { AgentStream } from "#api/agent.ts";
import { createChange } from "#core/change.ts";

/** An attached reader may be behind by this much before the writer waits. */
const WINDOW_BYTES = 1 << 20;

/** The bytes of one output stream that are still kept. */
export interface Journal {
  /** Resolves when there is room: an attached slow reader slows the writer, without one the oldest bytes go. */
  write(bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void>;
  end(): void;
  /** The writer is gone and nobody knows what it still wrote. */
  lose(reason: string): void;
  readonly state: AgentStream;
  readonly lost: string | undefined;
  attach(offset: number): JournalReader;
}

export interface JournalReader {
  /** Up to `maxBytes` at the position, undefined when there is nothing now. */
  take(maxBytes: number): Uint8Array<ArrayBuffer> | undefined;
  readonly position: number;
  changed(signal: AbortSignal): Promise<void>;
  detach(): void;
}

export function createJournal(budgetBytes: number): Journal {
  const change = createChange();
  const readers = new Set<{ position: number }>();
  let chunks: { at: number; bytes: Uint8Array<ArrayBuffer> }[] = [];
  let first = 0;
  let end = 0;
  let complete = false;
  let lost: string | undefined;

  const trim = (): void => {
    const needed = Math.min(end, ...[...readers].map((reader) => reader.position));
    while (end - first > budgetBytes && chunks[0] !== undefined && chunks[0].at + chunks[0].bytes.length <= needed) {
      const [gone] = chunks;
      chunks = chunks.slice(1);
      first = gone.at + gone.bytes.length;
    }
  };
  const isBehind = (): boolean => [...readers].some((reader) => end - reader.position > WINDOW_BYTES);

  return {
    async write(bytes, signal) {
      while (isBehind() && !complete) await change.wait(signal);
      if (complete || bytes.length === 0) return;
      chunks.push({ at: end, bytes: bytes.slice() });
      end += bytes.length;
      trim();
      change.notify();
    },
    end() {
      complete = true;
      change.notify();
    },
    lose(reason) {
      if (complete) return;
      lost = reason;
      complete = true;
      change.notify();
    },
    get state() {
      return { first, end, complete: complete && lost === undefined };
    },
    get lost() {
      return lost;
    },
    attach(offset) {
      const reader = { position: offset };
      readers.add(reader);
      return {
        take(maxBytes) {
          const chunk = chunks.findLast(({ at }) => at <= reader.position);
          if (chunk === undefined || reader.position >= end) return undefined;
          const from = reader.position - chunk.at;
          const bytes = chunk.bytes.slice(from, from + maxBytes);
          reader.position += bytes.length;
          change.notify();
          return bytes;
        },
        get position() {
          return reader.position;
        },
        changed: (signal) => change.wait(signal),
        detach() {
          readers.delete(reader);
          trim();
          change.notify();
        },
      };
    },
  };
}
