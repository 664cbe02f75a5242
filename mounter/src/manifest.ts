import * as z from "zod";
import { flagVariable, parseEnvironment, type Variables } from "#api/environment.ts";

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
