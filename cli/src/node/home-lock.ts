import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { lockFile, type FileLock } from "#core/node/file-lock.ts";
import { Fault } from "../fault.ts";

/** Takes the lock on ATOLL_HOME against a second set-up, start or stop; `onWait` is called once when another holds it. */
export async function lockHome(home: string, options: { signal: AbortSignal; onWait: () => void }): Promise<FileLock> {
  const { signal, onWait } = options;
  const folder = join(home, "run");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, "lock");
  try {
    const first = await lockFile(file, { signal, waitSeconds: 0 });
    if (first !== undefined) return first;
    onWait();
    const second = await lockFile(file, { signal });
    if (second !== undefined) return second;
  } catch (error) {
    signal.throwIfAborted();
    throw new Fault((error as Error).message);
  }
  throw new Fault(`${file} cannot be locked`);
}
