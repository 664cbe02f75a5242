import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import { createFolderLock } from "../storage/node/folder-lock.ts";

/** A folder that no other mounter works in. Who holds it keeps this: what nobody refers to any more is given back. */
export interface FolderClaim {
  release(): void;
}

/** Neither a namespace nor a place of staging has such a name. */
const CLAIM = ".claim";
/** An earlier mounter that was told to end may still be ending. */
const WAIT_MS = 5000;

/**
 * Claims a folder until this process ends, however it does: whoever starts removes what an ended process
 * left there, which nobody may do to one that runs.
 */
export async function claimFolder(dir: string, clock: Clock, signal: AbortSignal): Promise<FolderClaim> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const lock = createFolderLock(join(dir, CLAIM), clock);
  const [claimed, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const late = (): Error => new Error(`Another mounter works in ${dir}; it has to end first`);
  await withDeadline({ clock, timeoutMs: WAIT_MS, signal, late }, async (limited) => {
    const held = lock.run(limited, () => {
      claimed.resolve();
      return over.promise;
    });
    held.finally(() => lock.close()).catch((error: unknown) => claimed.reject(error));
    await claimed.promise;
  });
  return { release: () => over.resolve() };
}
