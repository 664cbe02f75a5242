import { createChange } from "#core/change.ts";

/** Bytes in flight before a writer waits, as a Linux pipe has. */
const CAPACITY_BYTES = 65_536;

export interface Pipe {
  /** Resolves when the bytes are in the pipe; rejects when aborted. False when nobody will read them. */
  write(bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<boolean>;
  /** The next bytes; undefined at the end. Rejects when aborted. */
  read(signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** No more writes; the reader sees the end after what is in the pipe. */
  close(): void;
  /** The reader has gone: writers stop waiting. */
  abandon(): void;
  readonly closed: boolean;
}

export function createPipe(): Pipe {
  const change = createChange();
  const queue: Uint8Array<ArrayBuffer>[] = [];
  let queuedBytes = 0;
  let closed = false;
  let abandoned = false;
  return {
    get closed() {
      return closed;
    },
    async write(bytes, signal) {
      while (queuedBytes >= CAPACITY_BYTES && !abandoned) await change.wait(signal);
      if (abandoned || closed) return false;
      queue.push(bytes);
      queuedBytes += bytes.length;
      change.notify();
      return true;
    },
    async read(signal) {
      while (queue.length === 0 && !closed) await change.wait(signal);
      const bytes = queue.shift();
      queuedBytes -= bytes?.length ?? 0;
      change.notify();
      return bytes;
    },
    close() {
      closed = true;
      change.notify();
    },
    abandon() {
      abandoned = true;
      change.notify();
    },
  };
}
