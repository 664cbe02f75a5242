import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../fault.ts";

/** A lock on ATOLL_HOME against a second set-up, start or stop. */
export interface HomeLock {
  release(): Promise<void>;
}

/**
 * Takes the lock, waiting for another holder; `onWait` is called once when there is one. The kernel
 * holds it for a child that ends with this process, so a kill -9 frees it.
 */
export async function lockHome(home: string, options: { signal: AbortSignal; onWait: () => void }): Promise<HomeLock> {
  const folder = join(home, "run");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, "lock");
  const first = await tryLock(file, ["--nonblock"], options.signal);
  if (first !== undefined) return first;
  options.onWait();
  const second = await tryLock(file, [], options.signal);
  if (second === undefined) throw new Fault(`cannot lock ${file}`);
  return second;
}

async function tryLock(file: string, how: readonly string[], signal: AbortSignal): Promise<HomeLock | undefined> {
  signal.throwIfAborted();
  // A session of its own: Ctrl-C reaches only this process, which then releases in order.
  const child = spawn("flock", [...how, file, "sh", "-c", "echo held; exec cat >/dev/null"], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const onAbort = (): void => void child.kill();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const held = await new Promise<boolean>((resolve, reject) => {
      child.once("error", () => reject(new Fault("flock is needed; on Debian: apt-get install util-linux")));
      child.stdout.once("data", () => resolve(true));
      child.once("close", () => resolve(false));
    });
    signal.throwIfAborted();
    if (!held) return undefined;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return {
    async release() {
      child.stdin.end();
      await ended;
    },
  };
}
