import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, readFile, rename, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { doneBytes, parseNotes } from "../../domain/layer-parts.ts";
import { isId, isNamespace, layerPaths, partialPaths } from "./cache-paths.ts";

const { O_NOFOLLOW, O_RDONLY } = constants;
const READ_BYTES = 1 << 20;
const MOST_NOTE_BYTES = 8 << 20;

/** A file of the cache as it was found on the disk. */
export interface FoundFile {
  readonly namespace: string;
  readonly id: string;
  readonly bytes: number;
  readonly lastUsedAtMs: number;
}

export interface FoundCache {
  readonly layers: readonly FoundFile[];
  /** Downloads that were interrupted and can go on. */
  readonly partials: readonly FoundFile[];
}

/** Reads the cache's folder and removes of its own files all that is not whole. What it does not know stays untouched. */
export async function recoverCache(dir: string): Promise<FoundCache> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const found = { layers: [] as FoundFile[], partials: [] as FoundFile[] };
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (!entry.isDirectory() || !isNamespace(entry.name)) continue;
    found.layers.push(...(await recoverLayers(dir, entry.name)));
    found.partials.push(...(await recoverPartials(dir, entry.name)));
  }
  return found;
}

async function recoverLayers(dir: string, namespace: string): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  const folder = join(dir, namespace, "sha256");
  const names = await namesIn(folder);
  for (const id of new Set(names.map((name) => name.split(".")[0] ?? "").filter(isId))) {
    const paths = layerPaths(dir, namespace, id);
    const stats = await statFile(paths.file);
    const wanted = await readFile(paths.size, "utf8").catch(() => "");
    if (stats !== undefined && wanted === `${stats.size}\n`)
      found.push({ namespace, id, bytes: stats.size, lastUsedAtMs: stats.mtimeMs });
    else await removeLayerFiles(dir, namespace, id);
  }
  return found;
}

async function recoverPartials(dir: string, namespace: string): Promise<FoundFile[]> {
  const names = await namesIn(join(dir, namespace, "partial"));
  const ids = new Set(names.map((name) => name.split(".")[0] ?? "").filter(isId));
  const found = await Promise.all([...ids].map((id) => keepPartial(dir, namespace, id)));
  return found.filter((file) => file !== undefined);
}

/** What is there of a download that nobody goes on with now; removed when it is of no use. */
export async function keepPartial(dir: string, namespace: string, id: string): Promise<FoundFile | undefined> {
  const paths = partialPaths(dir, namespace, id);
  const [file, notes] = [await statFile(paths.file), await statFile(paths.notes)];
  const isReadable = file !== undefined && notes !== undefined && notes.size <= MOST_NOTE_BYTES;
  const parsed = isReadable ? parseNotes(await readFile(paths.notes, "utf8")) : undefined;
  if (notes !== undefined && parsed !== undefined && parsed.done.size > 0)
    return { namespace, id, bytes: doneBytes(parsed), lastUsedAtMs: notes.mtimeMs };
  await removePartialFiles(dir, namespace, id);
  return undefined;
}

/** Moves a finished file to its place. A crash at any point leaves the layer whole or absent. */
export async function installLayer(from: string, dir: string, file: FoundFile): Promise<void> {
  const { namespace, id, bytes, lastUsedAtMs } = file;
  const paths = layerPaths(dir, namespace, id);
  await mkdir(paths.folder, { recursive: true, mode: 0o700 });
  const size = await open(paths.size, "w", 0o600);
  try {
    await size.writeFile(`${bytes}\n`);
    await size.sync();
  } finally {
    await size.close();
  }
  await noteUse(from, lastUsedAtMs);
  await rename(from, paths.file);
  const folder = await open(paths.folder, O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export async function removeLayerFiles(dir: string, namespace: string, id: string): Promise<void> {
  const { file, size } = layerPaths(dir, namespace, id);
  await rm(file, { recursive: true, force: true });
  await rm(size, { recursive: true, force: true });
}

export async function removePartialFiles(dir: string, namespace: string, id: string): Promise<void> {
  const { file, notes } = partialPaths(dir, namespace, id);
  await rm(notes, { recursive: true, force: true });
  await rm(file, { recursive: true, force: true });
}

/** Notes a use where it outlives the process. */
export async function noteUse(file: string, atMs: number): Promise<void> {
  await utimes(file, atMs / 1000, atMs / 1000).catch(() => undefined);
}

/** Size and time of a file; undefined when there is none, or something else. */
export async function statFile(path: string): Promise<{ readonly size: number; readonly mtimeMs: number } | undefined> {
  const stats = await lstat(path).catch(() => undefined);
  return stats?.isFile() === true ? { size: stats.size, mtimeMs: stats.mtimeMs } : undefined;
}

/** SHA-256 of a file, as hex digits. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, O_RDONLY | O_NOFOLLOW);
  try {
    const buffer = new Uint8Array(READ_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}
