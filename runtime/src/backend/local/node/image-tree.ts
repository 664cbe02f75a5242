import { chmod, lstat, mkdir, open, readlink, rm, writeFile } from "node:fs/promises";
import { constants, type Stats } from "node:fs";
import { join } from "node:path";

const MAX_SYMLINKS = 40;
const DIRECTORIES: readonly { readonly name: string; readonly mode: number }[] = [
  { name: "proc", mode: 0o555 },
  { name: "sys", mode: 0o555 },
  { name: "dev", mode: 0o755 },
  { name: "tmp", mode: 0o1777 },
];
const FILES = ["resolv.conf", "hosts", "hostname"] as const;

/**
 * Gives an unpacked image the places where a sandbox's mounts go: real directories `/proc`,
 * `/sys`, `/dev`, `/tmp` and regular files `/etc/resolv.conf`, `/etc/hosts`, `/etc/hostname`. A
 * symlink in such a place is replaced; nothing is followed out of `root`. Nobody else may
 * write to the tree meanwhile.
 */
export async function prepareImageTree(root: string): Promise<void> {
  for (const { name, mode } of DIRECTORIES) await ensureDirectory(join(root, name), mode);
  const etc = await resolveInRoot(root, "/etc");
  const etcDir = etc !== undefined && (await stat(etc))?.isDirectory() === true ? etc : join(root, "etc");
  await ensureDirectory(etcDir, 0o755);
  for (const name of FILES) await ensureFile(join(etcDir, name));
}

/** A regular file's text by its path in the image, symlinks followed inside `root` only; undefined when absent, special or larger than `maxBytes`. */
export async function readInRoot(root: string, path: string, maxBytes: number): Promise<string | undefined> {
  const target = await resolveInRoot(root, path);
  if (target === undefined || (await stat(target))?.isFile() !== true) return undefined;
  const file = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return (await file.stat()).size > maxBytes ? undefined : await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/** The place outside that a path inside `root` means, free of symlinks; undefined when nothing is there. */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
  const pending = path.split("/").reverse();
  let inside: string[] = [];
  let symlinks = 0;
  while (pending.length > 0) {
    const part = pending.pop();
    if (part === undefined || part === "" || part === ".") continue;
    if (part === "..") {
      inside = inside.slice(0, -1);
      continue;
    }
    const here = join(root, ...inside, part);
    const found = await stat(here);
    if (found === undefined) return undefined;
    if (!found.isSymbolicLink()) {
      inside.push(part);
      continue;
    }
    symlinks += 1;
    if (symlinks > MAX_SYMLINKS) return undefined;
    const target = await readlink(here);
    if (target.startsWith("/")) inside = [];
    pending.push(...target.split("/").reverse());
  }
  return join(root, ...inside);
}

async function ensureDirectory(path: string, mode: number): Promise<void> {
  const found = await stat(path);
  if (found?.isDirectory() === true) return;
  if (found !== undefined) await rm(path);
  await mkdir(path);
  await chmod(path, mode);
}

async function ensureFile(path: string): Promise<void> {
  const found = await stat(path);
  if (found?.isFile() === true) return;
  if (found !== undefined) await rm(path, { recursive: true });
  await writeFile(path, "", { flag: "wx", mode: 0o644 });
}

async function stat(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
