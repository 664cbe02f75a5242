import { rm } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import { writeSync } from "node:fs";
import { parseEnvironment } from "#api/environment.ts";
import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { createLog } from "#core/log.ts";
import { createChannelServer } from "../local/node/channel-server.ts";
import { createLocalMounter } from "../local/node/local-mounter.ts";
import { createRecent } from "../domain/recent.ts";
import { createSpareDisk } from "../domain/spare-disk.ts";
import { LocalMounterEnvironment } from "../manifest.ts";
import { createArchive } from "../node/archive/create-archive.ts";
import { createLargeArchives } from "../node/archive/large-archives.ts";
import { createLayerCache } from "../node/cache/layer-cache.ts";
import { claimFolder } from "../node/folder-claim.ts";
import { createStaging } from "../node/staging.ts";
import { openStore } from "../storage/node/open-store.ts";
import { chooseCredentials } from "../storage/store-credentials.ts";

/** Letters and digits of an attempt's id: enough that two never meet. */
const ATTEMPT_CHARS = 12;
/** Archives without a manifest that need not be read again before each start. */
const MOST_SOUND = 4096;

try {
  await serve();
} catch (error) {
  writeSync(2, `atoll-mounter: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

async function serve(): Promise<void> {
  const env = parseEnvironment(LocalMounterEnvironment, process.env);
  const log = createLog(env.ATOLL_LOG_LEVEL, (line) => writeSync(2, `${line}\n`), systemClock.now);
  const clock = systemClock;
  const store = await openStore(env.ATOLL_SNAPSHOT_STORE, {
    clock,
    random: Math.random,
    newMark: () => cryptoIds.commandId(),
    credentials: chooseCredentials(env),
  });
  const claim = await claimFolder(env.ATOLL_MOUNTER_DIR, clock, new AbortController().signal);
  const reserveBytes = env.ATOLL_DISK_RESERVE_BYTES;
  const spare = createSpareDisk();
  const staging = await createStaging({
    dir: join(env.ATOLL_MOUNTER_DIR, "staging"),
    maxBytes: env.ATOLL_MOUNTER_STAGING_BYTES,
    reserveBytes,
    spare,
  });
  const cache = await createLayerCache(
    { dir: join(env.ATOLL_MOUNTER_DIR, "cache"), maxBytes: env.ATOLL_MOUNTER_CACHE_BYTES, reserveBytes },
    { store, clock, spare },
  );
  const newAttempt = (): string => cryptoIds.sandboxId().slice(0, ATTEMPT_CHARS);
  const [archive, large, sound] = [createArchive(), createLargeArchives(), createRecent<true>(MOST_SOUND)];
  const mostTarBytes = env.ATOLL_MOUNTER_STAGING_BYTES;
  const ports = { store, clock, newAttempt, archive, large, sound, cache, staging, mostTarBytes, log };
  const mounter = createLocalMounter(ports);
  await rm(env.ATOLL_MOUNTER_SOCKET, { force: true });
  process.umask(0o077);
  const server = createChannelServer(mounter, log);
  server.listen(env.ATOLL_MOUNTER_SOCKET);
  await once(server, "listening");
  // The gateway holds the other end of the standard input.
  process.stdin.resume();
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT"), once(process.stdin, "end")]);
  // What is under way is begun anew by whoever asks again.
  server.close();
  server.closeAllConnections();
  await cache.close();
  store.close();
  claim.release();
  process.exit(0);
}
