import { execFile } from "node:child_process";
import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const { O_NONBLOCK, O_WRONLY } = constants;
const POLL_MS = 5;
const run = promisify(execFile);

/** Makes a named pipe for nobody but this user. */
export async function makePipe(path: string): Promise<void> {
  await run("mkfifo", ["-m", "600", path], { env: { PATH: "/usr/bin:/bin" } });
}

/**
 * Writes a stream to whoever opens a named pipe, however late. When that one leaves, the rest is read to its
 * end all the same: what the stream says of itself is still to be heard. The next chunk is made while one is
 * written; no more are kept.
 */
export async function writePipe(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  let pipe: Socket | undefined;
  let fault: Error | undefined;
  const onAbort = (): void => void pipe?.destroy();
  signal.addEventListener("abort", onAbort, { once: true });
  const write = (to: Socket, chunk: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      if (to.destroyed) return resolve();
      to.write(chunk, (error) => {
        if (error && (error as NodeJS.ErrnoException).code !== "EPIPE") fault ??= error;
        resolve();
      });
    });
  try {
    let writing = Promise.resolve();
    for await (const chunk of chunks) {
      pipe ??= await openPipe(path, signal);
      await writing;
      writing = write(pipe, chunk);
    }
    await writing;
    signal.throwIfAborted();
    if (fault !== undefined) throw fault;
  } finally {
    signal.removeEventListener("abort", onAbort);
    pipe?.destroy();
  }
}

/** Resolves when somebody reads it: until then it cannot be opened without holding up a thread. */
async function openPipe(path: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const pipe = new Socket({ fd: openSync(path, O_WRONLY | O_NONBLOCK), readable: false, writable: true });
      // What goes wrong is told to whoever writes.
      return pipe.on("error", () => undefined);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
      await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
