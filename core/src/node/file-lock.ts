import { spawn, type ChildProcess } from "node:child_process";

/** A file that nobody else has locked. */
export interface FileLock {
  /** Resolves when the next one may have it. */
  release(): Promise<void>;
}

export interface FileLockCall {
  readonly signal: AbortSignal;
  /** How long another holder is waited for, in whole seconds. @default for ever */
  readonly waitSeconds?: number;
}

/** Exit code for a file that somebody else holds; no other failure of flock ends so. */
const CONFLICT = 99;
/** Says when it holds the lock, and ends when nobody is there any more to tell it something. */
const HOLDER = ["sh", "-c", "echo held; exec cat >/dev/null"];

/**
 * Locks a file until this process ends, however it does; the file is made, its folder has to be there.
 * JavaScript knows no such locks: the kernel holds it for a child that ends with this process. Undefined
 * when another holder does not let go in time; throws in one sentence when it cannot be locked at all.
 */
export async function lockFile(file: string, { signal, waitSeconds }: FileLockCall): Promise<FileLock | undefined> {
  signal.throwIfAborted();
  const patience = waitSeconds === undefined ? [] : ["--timeout", String(waitSeconds)];
  const how = ["--exclusive", "--no-fork", "--conflict-exit-code", String(CONFLICT), ...patience];
  // A session of its own: Ctrl-C reaches only this process, which then releases in order.
  const child = spawn("flock", [...how, file, ...HOLDER], { detached: true, stdio: ["pipe", "pipe", "ignore"] });
  const ending = endingOf(child);
  const onAbort = (): void => void child.kill();
  signal.addEventListener("abort", onAbort, { once: true });
  const isHeld = new Promise<"held">((resolve) => child.stdout.once("data", () => resolve("held")));
  const outcome = await Promise.race([isHeld, ending]);
  signal.removeEventListener("abort", onAbort);
  signal.throwIfAborted();
  if (outcome === CONFLICT) return undefined;
  if (outcome !== "held") throw new Error(`${file} cannot be locked: ${outcome}`);
  return {
    async release() {
      child.stdin.end();
      await ending;
    },
  };
}

/** Exit code of the conflict, or what else happened in words. */
function endingOf(child: ChildProcess): Promise<typeof CONFLICT | string> {
  return new Promise((resolve) => {
    child.once("error", () => resolve("flock is needed; on Debian: apt-get install util-linux"));
    child.once("close", (code, signal) => resolve(code === CONFLICT ? CONFLICT : `flock ended with ${code ?? signal}`));
  });
}
