import { link, mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LABEL_PATTERN, UUID_PATTERN } from "#api/name-patterns.ts";
import { restorePath, type RestoreOwner } from "#core/kubernetes/names.ts";

/** Archives where the kernels of sandboxes look for them: one folder for each sandbox, below that of its namespace. */
export interface RestoreFiles {
  /** Puts an archive in its place, at once and whole; it is shared with where it comes from. */
  put(owner: RestoreOwner, containerName: string, from: string): Promise<void>;
  /** Length of what lies there; undefined = nothing. */
  size(owner: RestoreOwner, containerName: string): Promise<number | undefined>;
  remove(owner: RestoreOwner, containerName: string): Promise<void>;
  /** Removes what lies there of all sandboxes but these. */
  sweep(kept: readonly RestoreOwner[]): Promise<void>;
}

export async function createRestoreFiles(folder: string): Promise<RestoreFiles> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const pathOf = (owner: RestoreOwner, containerName: string): string => {
    if (!isOwner(owner) || !LABEL_PATTERN.test(containerName))
      throw new RangeError(`"${owner.namespace}/${owner.sandboxUid}/${containerName}" names no container`);
    return restorePath(folder, owner, containerName);
  };
  return {
    async put(owner, containerName, from) {
      const path = pathOf(owner, containerName);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await rm(path, { force: true });
      await link(from, path);
    },
    async size(owner, containerName) {
      const found = await stat(pathOf(owner, containerName)).catch(ifAbsent);
      return found?.size;
    },
    async remove(owner, containerName) {
      const path = pathOf(owner, containerName);
      await rm(path, { force: true });
      // The folder of the sandbox goes with the last of its archives.
      if ((await readdir(dirname(path)).catch(() => [""])).length === 0)
        await rm(dirname(path), { recursive: true, force: true });
    },
    async sweep(kept) {
      const owners = new Set(kept.map(({ namespace, sandboxUid }) => `${namespace}/${sandboxUid}`));
      for (const namespace of await readdir(folder)) {
        if (!LABEL_PATTERN.test(namespace)) continue;
        for (const sandboxUid of await readdir(join(folder, namespace))) {
          if (isOwner({ namespace, sandboxUid }) && !owners.has(`${namespace}/${sandboxUid}`))
            await rm(join(folder, namespace, sandboxUid), { recursive: true, force: true });
        }
      }
    },
  };
}

/** Nothing from outside becomes a path unchecked. */
function isOwner({ namespace, sandboxUid }: RestoreOwner): boolean {
  return LABEL_PATTERN.test(namespace) && UUID_PATTERN.test(sandboxUid);
}

function ifAbsent(error: unknown): undefined {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
  throw error;
}
