import { StoreError, type StoreErrorKind } from "../store-error.ts";

const KINDS: Readonly<Record<string, readonly [StoreErrorKind, string]>> = {
  ENOENT: ["absent", "it is not there"],
  EACCES: ["denied", "this process may not; check owner and mode of the folder"],
  EPERM: ["denied", "this process may not; check owner and mode of the folder"],
  EROFS: ["denied", "the file system is read-only"],
  ENOSPC: ["full", "the file system has no more room"],
  EDQUOT: ["full", "the quota of the file system is used up"],
  EFBIG: ["full", "the file system takes no file so large"],
  ELOOP: ["invalid", "a symbolic link is in the way, and none is followed"],
  ENOTDIR: ["invalid", "a file or a symbolic link is in the way where a folder has to be"],
  EISDIR: ["invalid", "a folder is there"],
  EINVAL: ["invalid", "the file system does not know the request"],
};

/** A failure of the file system as one of the store. */
export function folderFault(what: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof StoreError || typeof code !== "string") return error;
  const [kind, words] = KINDS[code] ?? ["unavailable", "the file system failed"];
  return new StoreError(kind, `${what}: ${words} (${code}).`, { cause: error });
}

export function isErrno(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === code;
}
