import { access, constants, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Log } from "#core/log.ts";
import type { LocalMounterEnvironment } from "#mounter/manifest.ts";
import type { LocalConfig } from "../config.ts";
import type { Mounter } from "../mounter.ts";
import { credentialFiles } from "./credential-files.ts";
import { createMounterClient } from "./mounter-client.ts";
import { startMounter } from "./mounter-process.ts";

/** Variables that the mounter is given by this program, as text. */
type Given = Partial<Record<keyof LocalMounterEnvironment, string>>;

/** The mounter of this machine, as a child process that lives as long as this one. */
export async function openMounter(
  {
    homeDir,
    runDir,
    diskReserveBytes,
    snapshots,
  }: Pick<LocalConfig, "homeDir" | "runDir" | "diskReserveBytes" | "snapshots">,
  deps: { readonly log: Log; readonly random: () => number },
): Promise<Mounter> {
  const socketDir = join(runDir, "mounter");
  const jailDir = join(runDir, "mounter-jail");
  const dir = join(homeDir, "mounter");
  const checkpoints = join(homeDir, "staging");
  const stores = folderOf(snapshots.store);
  for (const each of [socketDir, jailDir, dir, checkpoints]) await mkdir(each, { recursive: true, mode: 0o700 });
  for (const each of stores) await makeStore(each);
  const socketPath = join(socketDir, "channel.sock");
  const given: Given = {
    ATOLL_SNAPSHOT_STORE: snapshots.store,
    ATOLL_MOUNTER_SOCKET: socketPath,
    ATOLL_MOUNTER_DIR: dir,
    ATOLL_MOUNTER_CACHE_BYTES: String(snapshots.cacheBytes),
    ATOLL_DISK_RESERVE_BYTES: String(diskReserveBytes),
  };
  const env = { ...snapshots.env, ...given };
  const { files, folders } = await credentialFiles(env);
  const jail = { jailDir, readable: [checkpoints, ...files, ...folders], writable: [socketDir, dir, ...stores] };
  const program = await startMounter({ socketPath, env, jail, files }, deps);
  return createMounterClient(program, { random: deps.random, dir });
}

async function makeStore(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new Error(`Snapshots cannot be kept in ${folder}, it has to be a folder that can be written to`, { cause });
  }
}

/** The store's folder when it is one of this machine; what is wrong with a URL the mounter says. */
function folderOf(store: string): readonly string[] {
  const url = URL.canParse(store) ? new URL(store) : undefined;
  return url?.protocol === "file:" && url.host === "" ? [fileURLToPath(url)] : [];
}
