import { ProblemError } from "#core/problem-error.ts";

/** Longest path that the kernel takes, in bytes, its closing zero included. */
const MAX_PATH_BYTES = 4096;
const MAX_NAME_BYTES = 255;

/**
 * The absolute, lexically clean form of a path in a container: relative ones start at
 * `workingDirectory`, `..` stops at the root. Throws `bad-path` for what no file can be called.
 */
export function cleanPath(path: string, workingDirectory: string): string {
  if (path === "") throw new ProblemError("bad-path", "The path is empty.");
  if (path.includes("\0")) throw new ProblemError("bad-path", "The path has a zero character.");
  const whole = path.startsWith("/") ? path : `${workingDirectory}/${path}`;
  const parts: string[] = [];
  for (const part of whole.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  const clean = `/${parts.join("/")}`;
  const bytes = new TextEncoder();
  if (
    bytes.encode(clean).length >= MAX_PATH_BYTES ||
    parts.some((part) => bytes.encode(part).length > MAX_NAME_BYTES)
  ) {
    throw new ProblemError("bad-path", "The path or one of its names is too long.");
  }
  return clean;
}

/** Directory and last name of a clean absolute path; the root has an empty name. */
export function splitPath(clean: string): { readonly directory: string; readonly name: string } {
  const slash = clean.lastIndexOf("/");
  return { directory: slash === 0 ? "/" : clean.slice(0, slash), name: clean.slice(slash + 1) };
}
