import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "#core/log.ts";
import type { LocalMounterEnvironment } from "#mounter/manifest.ts";
import type { LocalConfig } from "../config.ts";
import type { Mounter } from "../mounter.ts";
import { createMounterClient } from "./mounter-client.ts";
import { startMounter } from "./mounter-process.ts";

/** Variables that the mounter is given by this program, as text. */
type Given = Partial<Record<keyof LocalMounterEnvironment, string>>;

/** The mounter of this machine, as a child process that lives as long as this one. */
export async function openMounter(
  { homeDir, runDir, diskReserveBytes, snapshots }: LocalConfig,
  deps: { readonly log: Log; readonly random: () => number },
): Promise<Mounter> {
  const socketDir = join(runDir, "mounter");
  const dir = join(homeDir, "mounter");
  for (const each of [socketDir, dir]) await mkdir(each, { recursive: true, mode: 0o700 });
  const socketPath = join(socketDir, "channel.sock");
  const given: Given = {
    ATOLL_SNAPSHOT_STORE: snapshots.store,
    ATOLL_MOUNTER_SOCKET: socketPath,
    ATOLL_MOUNTER_DIR: dir,
    ATOLL_MOUNTER_CACHE_BYTES: String(snapshots.cacheBytes),
    ATOLL_DISK_RESERVE_BYTES: String(diskReserveBytes),
  };
  const program = await startMounter({ socketPath, env: { ...snapshots.env, ...given } }, deps);
  return createMounterClient(program, deps.random);
}
