import type { BigIntStats, Dirent } from "node:fs";
import { lstat, readdir, type FileHandle } from "node:fs/promises";
import type { PageRequest } from "../driver.ts";
import type { Page } from "../port.ts";
import { isErrno } from "./folder-fault.ts";
import { inFolder, openFolder } from "./folder-path.ts";

interface Listing<Item> {
  readonly prefix: string;
  readonly page: PageRequest;
  /** Whether a file of this name is one of those listed. */
  readonly wanted: (file: string) => boolean;
  /** Last segment of the key for a file. @default the file's name */
  readonly nameOf?: (file: string) => string;
  readonly itemOf: (key: string, stats: BigIntStats, file: string) => Item;
}

/** A page of the files below a folder in the order of their paths. Symbolic links are not there. */
export async function listFolder<Item>(root: string, listing: Listing<Item>): Promise<Page<Item>> {
  const { limit, cursor = "" } = listing.page;
  const items: Item[] = [];
  let last = "";
  for await (const { position, item } of walk(root, [], { ...listing, cursor })) {
    if (items.length === limit) return { items, next: last };
    items.push(item);
    last = position;
  }
  return { items };
}

interface Entry {
  readonly name: string;
  /** What the entry is sorted by: all below a folder begins with its name and a slash. */
  readonly position: string;
  readonly isFolder: boolean;
}

async function* walk<Item>(
  root: string,
  segments: readonly string[],
  listing: Listing<Item> & { readonly cursor: string },
): AsyncGenerator<{ position: string; item: Item }, void, undefined> {
  const { prefix, cursor, wanted, nameOf = (file) => file, itemOf } = listing;
  const base = segments.map((segment) => `${segment}/`).join("");
  const folder = await openFolder(root, segments, { create: false }).catch((error: unknown) => {
    // Removed meanwhile; that the store itself is not there is another matter.
    if (segments.length > 0 && isErrno(error, "ENOENT")) return undefined;
    throw error;
  });
  if (folder === undefined) return;
  try {
    for (const { name, position, isFolder } of await readEntries(folder, base)) {
      if (isFolder) {
        const mayHold = position.startsWith(prefix) || prefix.startsWith(position);
        const isBehind = position > cursor || cursor.startsWith(position);
        if (mayHold && isBehind) yield* walk(root, [...segments, name], listing);
        continue;
      }
      const key = base + nameOf(name);
      if (!wanted(name) || position <= cursor || !key.startsWith(prefix)) continue;
      const stats = await statIfThere(folder, name);
      if (stats?.isFile() === true) yield { position, item: itemOf(key, stats, name) };
    }
  } finally {
    await folder.close();
  }
}

async function readEntries(folder: FileHandle, base: string): Promise<readonly Entry[]> {
  const entries = await readdir(inFolder(folder, ""), { withFileTypes: true });
  const isListed = (entry: Dirent): boolean => entry.isFile() || (entry.isDirectory() && !entry.name.startsWith("."));
  return entries
    .filter(isListed)
    .map((entry) => {
      const isFolder = entry.isDirectory();
      return { name: entry.name, position: base + entry.name + (isFolder ? "/" : ""), isFolder };
    })
    .toSorted((a, b) => (a.position < b.position ? -1 : 1));
}

async function statIfThere(folder: FileHandle, name: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(inFolder(folder, name), { bigint: true });
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
