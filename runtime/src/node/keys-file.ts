import { readFile } from "node:fs/promises";
import type { Clock } from "#core/clock.ts";
import { sha256 } from "#core/ids.ts";
import type { Log } from "#core/log.ts";
import type { ApiKeys } from "../middleware/auth.ts";

/** How soon a changed file counts; a mounted Secret takes longer to change. */
const REFRESH_MS = 5000;

export interface KeysFileOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Keys that are good whatever the file says. */
  readonly besides: ApiKeys;
  /** Ends the reading. */
  readonly signal: AbortSignal;
}

/**
 * API keys of a file, read again as long as the program runs: keys change without a restart. Throws
 * when it cannot be read at the start; later, the last keys stay. A file without keys lets nobody in.
 */
export async function openKeysFile(path: string, options: KeysFileOptions): Promise<ApiKeys> {
  const { clock, log, besides, signal } = options;
  let text = await readFile(path, "utf8");
  let digests = await digestsOf(text);
  if (digests.length === 0) log.warn("The file of API keys has none", { path });

  const refresh = async (): Promise<void> => {
    const now = await readFile(path, "utf8");
    if (now === text) return;
    digests = await digestsOf(now);
    text = now;
    log.info("API keys changed", { path, count: digests.length });
  };
  const follow = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(REFRESH_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      await refresh().catch((error: unknown) => log.warn("The file of API keys cannot be read", { path, error }));
    }
  };
  void follow();
  return { digests: () => [...digests, ...besides.digests()] };
}

function digestsOf(text: string): Promise<Uint8Array[]> {
  const keys = text.split(/[\s,]+/).filter((key) => key !== "");
  return Promise.all(keys.map(sha256));
}
