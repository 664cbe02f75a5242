import { closeSync } from "node:fs";
import { ProblemError } from "#core/problem-error.ts";
import { cleanPath, splitPath } from "../domain/path.ts";
import { PATH_ONLY, type Target } from "./containers.ts";
import { errorName, type Native } from "./native.ts";

const DIRECTORY = 0o200000;
const NO_FOLLOW = 0o400000;
const MOST_LINKS = 40;

/** Where a file is to be: a directory inside the container's root, and a name in it that is no symbolic link. */
export interface FilePlace {
  readonly directoryFd: number;
  readonly directory: string;
  readonly name: string;
}

/** Translates what the kernel says about a path. */
export function pathProblem(path: string, error: string, cause?: unknown): ProblemError {
  const options = cause === undefined ? {} : { cause };
  switch (error) {
    case "ENOENT":
      return new ProblemError("file-not-found", `There is no file "${path}".`, options);
    case "ENOTDIR":
      return new ProblemError("bad-path", `A parent of "${path}" is not a directory.`, options);
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return new ProblemError("disk-full", `The container's disk has no room for "${path}".`, options);
    case "EXDEV":
    case "ELOOP":
      return new ProblemError(
        "path-escape",
        `The path "${path}" goes through a link that leads out of the container or in circles.`,
        options,
      );
    default:
      return new ProblemError("bad-path", `The path "${path}" cannot be used (${error}).`, options);
  }
}

/**
 * The directory and name that a path stands for, following links the way the container would: a
 * link at the end too, so that writing through a link writes its target. Missing directories are
 * made, mode 0755, and given to the container's user. The kernel keeps every step inside the root.
 */
export function placeFor(native: Native, target: Target, path: string): FilePlace {
  let clean = path;
  for (let links = 0; links < MOST_LINKS; links += 1) {
    const { directory, name } = splitPath(clean);
    if (name === "") throw new ProblemError("not-a-file", "The path is a directory.");
    const directoryFd = openOrMake(native, target, directory);
    const link = native.readLink(directoryFd, name);
    if (typeof link === "number") return { directoryFd, directory, name };
    closeSync(directoryFd);
    clean = cleanPath(link, directory);
  }
  throw pathProblem(path, "ELOOP");
}

function openOrMake(native: Native, target: Target, directory: string): number {
  const fd = native.openIn(target.rootFd, directory, PATH_ONLY | DIRECTORY);
  if (fd >= 0) return fd;
  if (errorName(fd) !== "ENOENT" || directory === "/") throw pathProblem(directory, errorName(fd));
  const { directory: parent, name } = splitPath(directory);
  const parentFd = openOrMake(native, target, parent);
  try {
    const made = native.makeDirectory(parentFd, name);
    if (made === 0) {
      const owned = native.changeOwner(parentFd, name, target.status.uid, target.status.gid);
      if (owned < 0) throw pathProblem(directory, errorName(owned));
      const opened = native.openAt(parentFd, name, PATH_ONLY | DIRECTORY | NO_FOLLOW, 0);
      if (opened < 0) throw pathProblem(directory, errorName(opened));
      return opened;
    }
    if (errorName(made) !== "EEXIST") throw pathProblem(directory, errorName(made));
    // Somebody else made it meanwhile; a link without a target is here too, and stays a fault.
    const again = native.openIn(target.rootFd, directory, PATH_ONLY | DIRECTORY);
    if (again < 0) throw pathProblem(directory, errorName(again) === "ENOENT" ? "ENOTDIR" : errorName(again));
    return again;
  } finally {
    closeSync(parentFd);
  }
}
