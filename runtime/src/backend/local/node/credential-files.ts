import { lstat, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "#core/clock.ts";

/** Variables that name a file by which somebody proves who he is, or knows others. */
const FILE_VARIABLES = [
  "SSL_CERT_FILE",
  "NODE_EXTRA_CA_CERTS",
  "GOOGLE_APPLICATION_CREDENTIALS",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
  "AWS_SHARED_CREDENTIALS_FILE",
  "AWS_CONFIG_FILE",
  "AZURE_FEDERATED_TOKEN_FILE",
  "AZURE_CLIENT_CERTIFICATE_PATH",
];
const FOLDER_VARIABLES = ["ATOLL_SNAPSHOT_CREDENTIALS_DIR", "SSL_CERT_DIR"];
const HOME_FOLDERS = [".aws", ".config/gcloud", ".azure"];
/** How kubelet replaces all files of a mounted Secret at once: they are links through this one. */
const MOUNTED_SECRET = "..data";
const POLL_MS = 5000;

export interface CredentialFiles {
  /** Each to be seen alone: what else lies in its folder is none of the mounter's business. */
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

/** Files and folders that clients of stores read by themselves. */
export async function credentialFiles(env: Readonly<Record<string, string | undefined>>): Promise<CredentialFiles> {
  const pathsOf = (names: readonly string[]): string[] =>
    names.flatMap((name) => (env[name]?.startsWith("/") ? [env[name]] : []));
  const home = pathsOf(["HOME"]).flatMap((path) => HOME_FOLDERS.map((name) => join(path, name)));
  const [files, folders] = [[] as string[], [] as string[]];
  for (const file of pathsOf(FILE_VARIABLES)) {
    // A mounted Secret has nothing else in its folder, and is seen to change only there.
    if (await isMountedSecret(dirname(file))) folders.push(dirname(file));
    else if (!(await isFolder(file))) files.push(file);
  }
  return { files, folders: [...folders, ...pathsOf(FOLDER_VARIABLES), ...home] };
}

async function isMountedSecret(folder: string): Promise<boolean> {
  const found = await lstat(join(folder, MOUNTED_SECRET)).catch(() => undefined);
  return found?.isSymbolicLink() === true;
}

/** Whoever names a folder in place of a file has named nothing that a client could read. */
async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}

/** Resolves when another file has taken the place of one of these: who sees a file alone sees the former one. */
export async function untilReplaced(files: readonly string[], clock: Clock, signal: AbortSignal): Promise<void> {
  const before = await Promise.all(files.map(identityOf));
  for (;;) {
    await clock.sleep(POLL_MS, signal);
    const now = await Promise.all(files.map(identityOf));
    if (now.some((identity, index) => identity !== undefined && identity !== before[index])) return;
  }
}

async function identityOf(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}
