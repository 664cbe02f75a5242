import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  openSync,
  readlinkSync,
  readSync,
  writeSync,
} from "node:fs";
import type { Clock } from "#core/clock.ts";
import { ProblemError } from "#core/problem-error.ts";
import { cleanPath } from "../domain/path.ts";
import type { Files, OpenFile } from "../ports.ts";
import { PATH_ONLY, type ContainerFinder, type Target } from "./containers.ts";
import { pathProblem, placeFor } from "./file-path.ts";
import { errorName, type Native } from "./native.ts";
import type { UploadLog } from "./upload-log.ts";

/** As much as a Unix socket takes at once by default, headers included: what is left over would be copied and sent later. */
const CHUNK_BYTES = 192 << 10;
/** A body of which nothing arrives for this long is cut, at the latest after twice as long. */
const STALL_MS = 30_000;
const PROC_MAGIC = 0x9fa0;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export interface FileHostDeps {
  readonly native: Native;
  readonly containers: ContainerFinder;
  readonly clock: Clock;
  readonly uploads: UploadLog;
}

/** Files of the containers, opened by the agent and confined by the kernel. */
export function createFileHost({ native, containers, clock, uploads }: FileHostDeps): Files {
  function locate(path: string, container: string | undefined): { readonly target: Target; readonly clean: string } {
    const target = containers.find(container);
    const clean = cleanPath(path, path.startsWith("/") ? "/" : containers.workingDirectory(target));
    return { target, clean };
  }

  return {
    read(path, { container, onClosed }) {
      const { target, clean } = locate(path, container);
      const fd = openRegular(native, target, clean);
      try {
        return streamFile(fd, onClosed);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
    },

    async write(path, { container, body, sizeBytes }) {
      const { target, clean } = locate(path, container);
      if (path.endsWith("/")) throw new ProblemError("bad-path", "The path ends with a slash, so it is no file's.");
      const { directoryFd, directory, name } = placeFor(native, target, clean);
      const temporary = uploads.begin(target.name, directory);
      let made = false;
      try {
        refuseOther(native, directoryFd, name, clean);
        const fd = native.openAt(directoryFd, temporary, CREATE, 0o600);
        if (fd < 0) throw pathProblem(clean, errorName(fd));
        made = true;
        await fill(fd, { path: clean, body, sizeBytes, target, clock });
        const renamed = native.rename(directoryFd, temporary, name);
        if (renamed < 0) throw pathProblem(clean, errorName(renamed));
        made = false;
      } finally {
        if (made) native.unlink(directoryFd, temporary);
        uploads.end();
        closeSync(directoryFd);
      }
    },
  };
}

/**
 * Opens a regular file for reading. It is first named without being opened, so that no FIFO or
 * device is touched. Per-process files of /proc show what the agent may see, not the container:
 * they are refused, and a command can read its own.
 */
function openRegular(native: Native, target: Target, clean: string): number {
  const named = native.openIn(target.rootFd, clean, PATH_ONLY);
  if (named < 0) throw pathProblem(clean, errorName(named) === "ENOTDIR" ? "ENOENT" : errorName(named));
  try {
    if (!fstatSync(named).isFile()) throw new ProblemError("not-a-file", `"${clean}" is not a regular file.`);
    const self = `/proc/self/fd/${named}`;
    if (native.fileSystem(named) === PROC_MAGIC && /\/\d+\//.test(readlinkSync(self))) {
      throw new ProblemError("path-escape", `"${clean}" is a view of a process, not a file of the container.`);
    }
    return openSync(self, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if (cause instanceof ProblemError) throw cause;
    throw pathProblem(clean, (cause as NodeJS.ErrnoException).code ?? "EIO", cause);
  } finally {
    closeSync(named);
  }
}

/** The file's bytes as of now; a file that shrinks while it is read fails the body. Kernel files tell no size and are read to their end. */
function streamFile(fd: number, onClosed: () => void): OpenFile {
  const { size } = fstatSync(fd);
  const first = size === 0 ? readChunk(fd, 0, CHUNK_BYTES) : undefined;
  const sizeBytes = first === undefined || first.length === 0 ? size : undefined;
  let offset = 0;
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    closeSync(fd);
    onClosed();
  };
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      pull(controller) {
        try {
          if (offset === sizeBytes) {
            close();
            return controller.close();
          }
          const wanted = sizeBytes === undefined ? CHUNK_BYTES : Math.min(CHUNK_BYTES, sizeBytes - offset);
          const chunk = offset === 0 && first !== undefined ? first : readChunk(fd, offset, wanted);
          offset += chunk.length;
          if (chunk.length > 0) return controller.enqueue(chunk);
          if (sizeBytes !== undefined) throw new Error("Cannot read the file: it became shorter meanwhile");
          close();
          controller.close();
        } catch (error) {
          close();
          throw error;
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
  return { sizeBytes, body };
}

function readChunk(fd: number, offset: number, bytes: number): Uint8Array<ArrayBuffer> {
  const chunk = new Uint8Array(bytes);
  return chunk.subarray(0, readSync(fd, chunk, 0, bytes, offset));
}

/** Only a regular file is replaced: a directory, FIFO, device or socket under this name is left alone. */
function refuseOther(native: Native, directoryFd: number, name: string, clean: string): void {
  const fd = native.openAt(directoryFd, name, PATH_ONLY | constants.O_NOFOLLOW, 0);
  if (fd < 0) return;
  const isFile = fstatSync(fd).isFile();
  closeSync(fd);
  if (!isFile) throw new ProblemError("not-a-file", `"${clean}" exists and is not a regular file.`);
}

interface Upload {
  readonly path: string;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  readonly sizeBytes: number | undefined;
  readonly target: Target;
  readonly clock: Clock;
}

/** Writes the whole body and gives the file its owner and mode; closes the descriptor. */
async function fill(fd: number, { path, body, sizeBytes, target, clock }: Upload): Promise<void> {
  const reader = body?.getReader();
  const over = new AbortController();
  let received = 0;
  let isStalled = false;
  const onStalled = async (): Promise<void> => {
    isStalled = true;
    // Ends the read that waits.
    await reader?.cancel();
  };
  void silence(() => received, clock, over.signal)
    .then(onStalled)
    .catch(() => undefined);
  try {
    for (let chunk = await reader?.read(); chunk?.value !== undefined; chunk = await reader?.read()) {
      for (let at = 0; at < chunk.value.length;) at += writeSync(fd, chunk.value, at);
      received += chunk.value.length;
    }
    if (isStalled)
      throw new ProblemError("bad-request", `The body was cut: nothing of it arrived for ${STALL_MS / 1000} s.`);
    if (sizeBytes !== undefined && received !== sizeBytes) {
      throw new ProblemError("bad-request", `The body ended after ${received} of ${sizeBytes} bytes.`);
    }
    fchownSync(fd, target.status.uid, target.status.gid);
    fchmodSync(fd, 0o666);
  } catch (cause) {
    const { code, name } = cause as NodeJS.ErrnoException;
    if (cause instanceof ProblemError) throw cause;
    if (name === "AbortError") throw new ProblemError("bad-request", "The body was cut.", { cause });
    throw pathProblem(path, code ?? "EIO", cause);
  } finally {
    over.abort();
    await reader?.cancel().catch(() => undefined);
    closeSync(fd);
  }
}

/** Returns when a count has stood still for STALL_MS: one timer for a whole body, not one for each piece of it. */
async function silence(count: () => number, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let before = -1; before !== count();) {
    before = count();
    await clock.sleep(STALL_MS, signal);
  }
}
