import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { lockFile, type FileLock } from "#core/node/file-lock.ts";

const CLAIM = "gateway.lock";
/** An earlier gateway that was told to end may still be ending. */
const WAIT_SECONDS = 10;

/**
 * Claims a home until this process ends, however it does: whoever starts takes up sandboxes and removes
 * what is left over, which nobody may do beside one that runs.
 */
export async function claimHome(homeDir: string, waitSeconds = WAIT_SECONDS): Promise<FileLock> {
  await mkdir(homeDir, { recursive: true, mode: 0o700 });
  const { signal } = new AbortController();
  const claim = await lockFile(join(homeDir, CLAIM), { signal, waitSeconds });
  if (claim !== undefined) return claim;
  throw new Error(`Another gateway works in ${homeDir}; it has to end first, or this one needs a home of its own.`);
}
