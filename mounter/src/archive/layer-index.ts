import { ArchiveFault } from "./archive-fault.ts";
import { showPath } from "./byte-string.ts";
import { targetRecordBytes, xattrRecordBytes, type HeadFacts } from "./entry-codec.ts";
import { ROOT_PATH, isOpaque, parentKey, pathKey, type EntryHead } from "./entry-head.ts";
import type { LayerLimits } from "./layer-limits.ts";
import { sizeText } from "./size-text.ts";
import type { EntryPlace } from "./tar-scanner.ts";

/**
 * An entry as an index keeps it. Attributes and targets of symbolic links stay in the archive, however
 * many there are: `target` is empty for symbolic links, and `recordBytes` is what both take in a header.
 */
export interface IndexedEntry extends HeadFacts, EntryPlace {
  readonly isOpaque: boolean;
  readonly recordBytes: number;
  /** Bytes that lie in the archive as its data. */
  readonly storedBytes: number;
  /** How much of a file is no hole, as far as is known. */
  readonly heldBytes: number;
}

/** Collects the entries of one archive and says whether they are a tree. */
export interface LayerIndex {
  /** About how much memory all of them take. */
  readonly memoryBytes: number;
  add(entry: IndexedEntry): void;
  /**
   * All entries in the order of their paths, when each comes after its folder and each link after what it
   * links to. gVisor writes them so and needs no order; who puts a layer onto a tree as it comes does.
   */
  finish(): readonly IndexedEntry[];
}

/** Memory of an entry beside its names: measured. */
const ENTRY_MEMORY_BYTES = 512;

export interface IndexOptions {
  /** Hard links may lead to entries that the archive does not have. @default false */
  readonly mayLinkOut?: boolean;
}

/** What an index keeps of an entry whose header and place are known. */
export function indexed(head: EntryHead, place: EntryPlace): IndexedEntry {
  const { xattrs, ...facts } = head;
  const isSymlink = head.kind === "symlink";
  return {
    ...facts,
    ...place,
    target: isSymlink ? "" : head.target,
    storedBytes: head.sizeBytes,
    heldBytes: head.sizeBytes,
    isOpaque: isOpaque(head),
    recordBytes: xattrRecordBytes(xattrs) + (isSymlink ? targetRecordBytes(head.target) : 0),
  };
}

export function createLayerIndex(limits: LayerLimits, options: IndexOptions = {}): LayerIndex {
  const entries = new Map<string, IndexedEntry>();
  let nameBytes = 0;

  return {
    get memoryBytes() {
      return entries.size * ENTRY_MEMORY_BYTES + nameBytes;
    },
    add(entry) {
      const key = pathKey(entry.path);
      if (entries.has(key)) throw fault(entry, "is there twice");
      nameBytes += entry.path.length + entry.target.length;
      if (entries.size >= limits.entries) throw tooLarge(`has more than ${limits.entries} entries`);
      if (nameBytes > limits.nameBytes) throw tooLarge(`has names of more than ${sizeText(limits.nameBytes)}`);
      entries.set(key, entry);
    },
    finish() {
      const sorted = [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
      if (sorted[0]?.path !== ROOT_PATH)
        throw new ArchiveFault("invalid", `the archive has no entry "${ROOT_PATH}" for the root`);
      for (const entry of sorted) {
        const parent = parentKey(pathKey(entry.path));
        const folder = parent === undefined ? undefined : entries.get(parent);
        if (parent !== undefined && folder?.kind !== "folder") throw fault(entry, "lies in a folder that has no entry");
        if (folder !== undefined && folder.at > entry.at) throw fault(entry, "comes before the folder that it lies in");
        if (entry.kind === "hardLink") checkLink(entry);
      }
      return sorted;
    },
  };

  function checkLink(entry: IndexedEntry): void {
    const target = entries.get(pathKey(entry.target));
    if (target === undefined && options.mayLinkOut && entry.target.startsWith(ROOT_PATH)) return;
    const to = `"${showPath(entry.target)}"`;
    if (target?.path !== entry.target) throw fault(entry, `is a hard link to ${to}, which is not there`);
    if (target.kind === "folder" || target.kind === "hardLink")
      throw fault(entry, `is a hard link to ${to}, which nothing can be another name of`);
    if (target.at > entry.at) throw fault(entry, `comes before ${to}, which it is a hard link to`);
  }
}

function fault(entry: IndexedEntry, what: string): ArchiveFault {
  return new ArchiveFault("invalid", `the archive's entry "${showPath(entry.path)}" ${what}`);
}

function tooLarge(what: string): ArchiveFault {
  return new ArchiveFault("too-large", `the archive ${what}`);
}
