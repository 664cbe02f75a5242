import { planEviction } from "../../domain/eviction.ts";
import { removeLayerFiles, removePartialFiles, type FoundFile } from "./cache-files.ts";

export interface CacheEntry extends FoundFile {
  /** What an interrupted download left; whole layers have none of that. */
  readonly isPartial: boolean;
  lastUsedAtMs: number;
  /** The last use that is noted on the disk. */
  notedAtMs: number;
  pins: number;
}

/** What lies in the cache's folder, in memory. An entry that is removed is gone at once, its files a little later. */
export interface CacheIndex {
  readonly bytes: number;
  /** Of those that nobody holds. */
  readonly spareBytes: number;
  entries(): readonly CacheEntry[];
  get(namespace: string, id: string, isPartial: boolean): CacheEntry | undefined;
  /** Files of a name that was removed before may still be on their way out: await `settled` before making new ones. */
  add(file: FoundFile, isPartial: boolean): void;
  settled(namespace: string, id: string, isPartial: boolean): Promise<void>;
  /** Its files stay, and belong to the caller. */
  takeOut(entry: CacheEntry): void;
  remove(entry: CacheEntry): Promise<void>;
  /** Removes the longest unused that nobody holds, until so many bytes are gone; false = nothing was removed, as all would not do. */
  evict(neededBytes: number): Promise<boolean>;
}

export function createCacheIndex(dir: string): CacheIndex {
  const entries = new Map<string, CacheEntry>();
  const removals = new Map<string, Promise<void>>();
  const takeOut = (entry: CacheEntry): boolean => {
    const name = nameOf(entry.namespace, entry.id, entry.isPartial);
    return entries.get(name) === entry && entries.delete(name);
  };
  const remove = async (entry: CacheEntry): Promise<void> => {
    if (!takeOut(entry)) return;
    const { namespace, id, isPartial } = entry;
    const name = nameOf(namespace, id, isPartial);
    const removal = (isPartial ? removePartialFiles : removeLayerFiles)(dir, namespace, id);
    const settled = removal.catch(() => undefined);
    removals.set(name, settled);
    try {
      await removal;
    } finally {
      if (removals.get(name) === settled) removals.delete(name);
    }
  };
  return {
    get bytes() {
      let bytes = 0;
      for (const entry of entries.values()) bytes += entry.bytes;
      return bytes;
    },
    get spareBytes() {
      let bytes = 0;
      for (const entry of entries.values()) if (entry.pins === 0) bytes += entry.bytes;
      return bytes;
    },
    entries: () => [...entries.values()],
    get: (namespace, id, isPartial) => entries.get(nameOf(namespace, id, isPartial)),
    add(file, isPartial) {
      const { namespace, id, bytes, lastUsedAtMs } = file;
      const entry = { namespace, id, bytes, lastUsedAtMs, notedAtMs: lastUsedAtMs, pins: 0, isPartial };
      entries.set(nameOf(namespace, id, isPartial), entry);
    },
    settled: async (namespace, id, isPartial) => removals.get(nameOf(namespace, id, isPartial)),
    takeOut: (entry) => void takeOut(entry),
    remove,
    async evict(neededBytes) {
      const plan = planEviction(entries.values(), neededBytes);
      // All at once: what is planned must not be held before it is gone.
      await Promise.all((plan ?? []).map(remove));
      return plan !== undefined;
    },
  };
}

function nameOf(namespace: string, id: string, isPartial: boolean): string {
  return `${namespace}/${isPartial ? "partial" : "sha256"}/${id}`;
}
