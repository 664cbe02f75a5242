import { lstat, readlink } from "node:fs/promises";
import { join } from "node:path";

const MAX_SYMLINKS = 40;

/**
 * The path here of a path on the node, whose file system is mounted at `root`. Absolute links of
 * the node, such as /var/run to /run, mean the node's own tree and not this program's.
 */
export async function pathOnNode(root: string, path: string): Promise<string> {
  const pending = path.split("/").reverse();
  let inside: string[] = [];
  for (let links = 0; pending.length > 0;) {
    const part = pending.pop();
    if (part === undefined || part === "" || part === ".") continue;
    if (part === "..") {
      inside = inside.slice(0, -1);
      continue;
    }
    const here = join(root, ...inside, part);
    const target = await linkTarget(here);
    if (target === undefined) {
      inside.push(part);
      continue;
    }
    links += 1;
    if (links > MAX_SYMLINKS) throw new Error(`${path} leads through too many links.`);
    if (target.startsWith("/")) inside = [];
    pending.push(...target.split("/").reverse());
  }
  return join(root, ...inside);
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
