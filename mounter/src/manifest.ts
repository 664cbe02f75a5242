import * as z from "zod";
import { countVariable, flagVariable, parseEnvironment, type Variables } from "#api/environment.ts";

const Path = z.string().regex(/^\//, "Expected an absolute path");
const Secret = z.string().min(1).optional();

/** Environment of the mounter. The program parses with it; what starts the program renders it. */
export const MounterEnvironment = z.object({
  /** URL of the store of snapshots, without credentials. */
  ATOLL_SNAPSHOT_STORE: z.string().min(1),
  /** Folder of a mounted secret; wins over the single values. Without either, the process's own identity. */
  ATOLL_SNAPSHOT_CREDENTIALS_DIR: Path.optional(),
  /** Ask the store as nobody: emulators. */
  ATOLL_SNAPSHOT_ANONYMOUS: flagVariable(false),
  AWS_ACCESS_KEY_ID: Secret,
  AWS_SECRET_ACCESS_KEY: Secret,
  AWS_SESSION_TOKEN: Secret,
  AZURE_STORAGE_KEY: Secret,
  /** JSON text of a service account's key. */
  GOOGLE_CREDENTIALS: Secret,
});

export type MounterEnvironment = z.infer<typeof MounterEnvironment>;

/** The mounter's environment, or one error that names all its faults. */
export function readEnvironment(variables: Variables): Readonly<MounterEnvironment> {
  return parseEnvironment(MounterEnvironment, variables);
}

/** Environment of the mounter as the child of a gateway on one machine. The gateway renders it. */
export const LocalMounterEnvironment = MounterEnvironment.extend({
  ATOLL_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /** The socket on which it answers; its folder is open to nobody else. */
  ATOLL_MOUNTER_SOCKET: Path,
  /** Where its cache and what is on its way lie. */
  ATOLL_MOUNTER_DIR: Path,
  /** Most bytes of the cache. */
  ATOLL_MOUNTER_CACHE_BYTES: countVariable(10 * 2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Most bytes that are on their way at once. */
  ATOLL_MOUNTER_STAGING_BYTES: countVariable(50 * 2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** Free disk that it leaves in any case. */
  ATOLL_DISK_RESERVE_BYTES: countVariable(2 ** 30, 0, Number.MAX_SAFE_INTEGER),
});

export type LocalMounterEnvironment = z.infer<typeof LocalMounterEnvironment>;
