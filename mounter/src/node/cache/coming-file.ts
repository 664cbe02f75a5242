import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { createChange } from "#core/change.ts";
import { createBufferRing } from "../buffer-ring.ts";
import { READ_AT_ONCE, READ_BYTES } from "../read-chunks.ts";

const { O_NOFOLLOW, O_RDONLY } = constants;

/** A file that is being written from its beginning on, and those who read it meanwhile. */
export interface ComingFile {
  /** Whether it is to be read as it comes; else it is there only as a whole. */
  readonly isBegun: boolean;
  /** Opens it for its readers: whoever renames it afterwards takes it away from none of them. */
  begin(path: string): Promise<void>;
  /** So many bytes from the beginning are there for good. Never falls. */
  grow(bytes: number): void;
  /** It is whole, and what it should be. */
  finish(): void;
  /** It will never be whole; ignored once it is. */
  fail(error: unknown): void;
  /** Resolves when it can be read as it comes, or is finished without; rejects when it fails. */
  ready(signal: AbortSignal): Promise<void>;
  /**
   * Its bytes in order. Ends when it is finished, and throws what it failed with. Each piece is good until the
   * next but one is asked for.
   */
  read(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  /** The same up to a length, for whoever finds out whether it is what it should be. */
  pass(bytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  /** Closes it as soon as nobody reads it any more. */
  close(): Promise<void>;
}

export function createComingFile(): ComingFile {
  const change = createChange();
  let file: FileHandle | undefined;
  let thereBytes = 0;
  let outcome: { readonly error?: unknown } | undefined;
  let readers = 0;
  let isClosed = false;

  const settle = (next: { readonly error?: unknown }): void => {
    outcome ??= next;
    change.notify();
  };
  const closeUnused = async (): Promise<void> => {
    if (!isClosed || readers > 0 || file === undefined) return;
    const unused = file;
    file = undefined;
    await unused.close();
  };
  const throwFailure = (): void => {
    if (outcome !== undefined && "error" in outcome) throw outcome.error;
  };

  async function* read(
    signal: AbortSignal,
    { endsAt }: { readonly endsAt?: number } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const from = file;
    if (from === undefined) throw new Error("The file is not to be read as it comes");
    const ring = createBufferRing(READ_AT_ONCE, READ_BYTES);
    readers += 1;
    try {
      for (let at = 0; ;) {
        signal.throwIfAborted();
        throwFailure();
        if (at < thereBytes) {
          const buffer = ring.next();
          const { bytesRead } = await from.read(buffer, 0, Math.min(buffer.length, thereBytes - at), at);
          if (bytesRead === 0) throw new Error(`The file ends before byte ${thereBytes}, which was written`);
          at += bytesRead;
          yield buffer.subarray(0, bytesRead);
        } else if (outcome !== undefined || at === endsAt) return;
        else await change.wait(signal);
      }
    } finally {
      readers -= 1;
      await closeUnused();
    }
  }

  return {
    get isBegun() {
      return file !== undefined;
    },
    async begin(path) {
      file = await open(path, O_RDONLY | O_NOFOLLOW);
      change.notify();
    },
    grow(bytes) {
      thereBytes = bytes;
      change.notify();
    },
    finish: () => settle({}),
    fail: (error) => settle({ error }),
    async ready(signal) {
      while (file === undefined && outcome === undefined) await change.wait(signal);
      throwFailure();
    },
    read: (signal) => read(signal),
    pass: (bytes, signal) => read(signal, { endsAt: bytes }),
    async close() {
      isClosed = true;
      await closeUnused();
    },
  };
}
