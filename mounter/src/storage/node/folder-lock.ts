import { DatabaseSync } from "node:sqlite";
import type { Clock } from "#core/clock.ts";
import { StoreError } from "../store-error.ts";

const POLL_MS = 5;
/** SQLITE_BUSY. */
const BUSY = 5;

/** One writer at a time in a folder, among all processes of its file system. A killed one holds nothing. */
export interface FolderLock {
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  close(): void;
}

/**
 * Node knows no locks on files but those of the database it brings along: its exclusive transaction
 * is one, which the kernel releases when the process ends. Nothing is ever written into it.
 */
export function createFolderLock(path: string, clock: Clock): FolderLock {
  let database: DatabaseSync | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  const lock = async (signal: AbortSignal): Promise<DatabaseSync> => {
    for (;;) {
      signal.throwIfAborted();
      try {
        database ??= new DatabaseSync(path, { timeout: 0 });
        database.exec("BEGIN EXCLUSIVE");
        return database;
      } catch (error) {
        if ((error as { errcode?: number }).errcode !== BUSY) throw unusable(path, error);
      }
      await clock.sleep(POLL_MS, signal);
    }
  };

  return {
    run(signal, work) {
      const turn = queue.then(async () => {
        const held = await lock(signal);
        try {
          return await work();
        } finally {
          held.exec("ROLLBACK");
        }
      });
      queue = turn.catch(() => undefined);
      return turn;
    },
    close() {
      database?.close();
      database = undefined;
    },
  };
}

function unusable(path: string, cause: unknown): StoreError {
  return new StoreError("denied", `Cannot lock ${path}: it has to be a file that this process may write.`, { cause });
}
