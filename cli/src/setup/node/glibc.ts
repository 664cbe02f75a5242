import { copyFile, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { BASE_RECIPE_ID } from "../base-image-recipe.ts";

const PACKAGES = /^(libc6|libgcc-s1)(:[a-z0-9]+)?\.list$/;

/** The C library of the base image, kept for the agent's own image. */
export function glibcDir(home: string): string {
  return join(home, "setup", `glibc-${BASE_RECIPE_ID}`);
}

/** Copies the shared objects of the base tree's C library to a tree of their own. */
export async function copyGlibc(root: string, home: string): Promise<void> {
  const target = glibcDir(home);
  const part = `${target}.part`;
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true });
  const info = join(root, "var/lib/dpkg/info");
  for (const name of await readdir(info)) {
    if (PACKAGES.test(name)) await copyListed(root, part, await readFile(join(info, name), "utf8"));
  }
  for (const name of ["lib", "lib64"]) await symlink(`usr/${name}`, join(part, name));
  await rm(target, { recursive: true, force: true });
  await rename(part, target);
}

async function copyListed(root: string, target: string, list: string): Promise<void> {
  for (const line of list.split("\n")) {
    if (!/\.so(\.[0-9]+)*$/.test(line) || line.includes("/gconv/")) continue;
    const path = line.replace(/^\/lib/, "/usr/lib");
    const [from, to] = [join(root, path), join(target, path)];
    await mkdir(dirname(to), { recursive: true });
    if ((await lstat(from)).isSymbolicLink()) await symlink(await readlink(from), to);
    else await copyFile(from, to);
  }
}
