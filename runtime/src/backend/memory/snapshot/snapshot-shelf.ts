import type { SnapshotBase } from "#api/snapshot-manifest.ts";
import { createChange, type Change } from "#core/change.ts";
import type { FileTree } from "../agent/file-store.ts";

/** What lies under a snapshot's name. */
export interface StoredSnapshot {
  /** Marks who wrote it. */
  readonly writeId: string;
  readonly base: SnapshotBase;
  readonly tree: FileTree;
}

/** The simulated store of snapshots: what is put under a name replaces what lay there at once. */
export interface SnapshotShelf {
  readonly change: Change;
  find(name: string): StoredSnapshot | undefined;
  put(name: string, snapshot: StoredSnapshot): void;
  remove(name: string): void;
}

export function createSnapshotShelf(): SnapshotShelf {
  const stored = new Map<string, StoredSnapshot>();
  const change = createChange();
  return {
    change,
    find: (name) => stored.get(name),
    put(name, snapshot) {
      stored.set(name, snapshot);
      change.notify();
    },
    remove(name) {
      stored.delete(name);
      change.notify();
    },
  };
}
