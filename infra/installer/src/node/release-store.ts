import { execFile } from "node:child_process";
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, cp, mkdir, open, readdir, readlink, rename, rm, rmdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { ReleaseStore } from "../ports.ts";
import { syncFolder } from "./host.ts";
import { isMissing, pathOnNode } from "./node-files.ts";
import { processTexts } from "./processes.ts";

const run = promisify(execFile);
const PROVEN = "proven";
const CURRENT = "current";
const PART = ".part-";
/** Made for the node; all else of a folder is copied and has a checksum. */
const MADE_HERE = new Set([PROVEN, "runsc.toml"]);

export interface ReleaseStoreOptions {
  /** Where the node's file system is mounted. */
  readonly root: string;
  /** The folder on the node. */
  readonly gvisorDir: string;
  /** The programs in this image. */
  readonly sourceDir: string;
}

/**
 * Releases side by side, each in a folder named after its release and checksum, and one link to
 * the current one: a sandbox that runs keeps its own, and an upgrade is one rename.
 */
export function createReleaseStore({ root, gvisorDir, sourceDir }: ReleaseStoreOptions): ReleaseStore {
  const here = (path: string): Promise<string> => pathOnNode(root, path);
  const link = async (): Promise<string> => join(await here(gvisorDir), CURRENT);

  async function current(): Promise<string | undefined> {
    try {
      return `${gvisorDir}/${await readlink(await link())}`;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  return {
    async place() {
      const { stdout } = await run(join(sourceDir, "runsc"), ["--version"]);
      const release = /^runsc version (\S+)$/m.exec(stdout)?.[1] ?? "unknown";
      const sum = await sumOf(sourceDir);
      const folder = `${gvisorDir}/${release}-${sum.slice(0, 12)}`;
      const target = await here(folder);
      const placed = { release, folder };
      if ((await sumOf(target).catch(() => "")) === sum) return placed;
      const part = join(dirname(target), `${PART}${basename(target)}`);
      await mkdir(dirname(target), { recursive: true, mode: 0o755 });
      await rm(part, { recursive: true, force: true });
      await cp(sourceDir, part, { recursive: true, verbatimSymlinks: true });
      if ((await sumOf(part)) !== sum) throw new Error(`${folder}: what was written is not what was copied.`);
      await syncTree(part);
      await rm(target, { recursive: true, force: true });
      await rename(part, target);
      await syncFolder(dirname(target));
      return placed;
    },

    current,

    async setCurrent(folder) {
      const path = await link();
      if (folder === undefined) return rm(path, { force: true });
      const part = `${path}${PART}`;
      await rm(part, { force: true });
      await symlink(basename(folder), part);
      await rename(part, path);
      await syncFolder(dirname(path));
    },

    async isProven(folder) {
      return access(join(await here(folder), PROVEN)).then(
        () => true,
        () => false,
      );
    },

    async setProven(folder) {
      await writeFile(join(await here(folder), PROVEN), "");
    },

    async prune() {
      const keep = basename((await current()) ?? "");
      const dir = await here(gvisorDir);
      const used = await processTexts();
      for (const name of await readdir(dir).catch(() => [])) {
        const isUsed = name === keep || name === CURRENT || used.some((text) => text.includes(`${gvisorDir}/${name}/`));
        if (!isUsed && /^(release-|unknown-|\.part-)/.test(name)) await rm(join(dir, name), { recursive: true });
      }
      // Only where nothing is left in it.
      if (keep === "") await rmdir(dir).catch(() => undefined);
    },
  };
}

/** Checksum over names and contents of a folder. */
async function sumOf(dir: string): Promise<string> {
  const hash = createHash("sha256");
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isDirectory() && !MADE_HERE.has(entry.name))
    .map((entry) => ({ path: join(entry.parentPath, entry.name), isLink: entry.isSymbolicLink() }));
  for (const { path, isLink } of paths.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    hash.update(`${path.slice(dir.length)}\0`);
    if (isLink) hash.update(await readlink(path));
    else await addFile(hash, path);
  }
  return hash.digest("hex");
}

async function addFile(hash: Hash, path: string): Promise<void> {
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
}

async function syncTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await open(join(entry.parentPath, entry.name), "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
