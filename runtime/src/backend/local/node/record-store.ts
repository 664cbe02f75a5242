import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "#core/log.ts";

/** Durable records; each write replaces the whole record at once. */
export interface RecordStore<Record> {
  load(): Promise<Record[]>;
  save(record: Record): Promise<void>;
  remove(id: string): Promise<void>;
}

/**
 * Records as files `<dir>/<id>.json`, each replaced by rename: a killed process leaves the old
 * or the new one. Not synced to the disk: a machine that loses power loses its sandboxes too.
 */
export async function createRecordStore<Record extends { readonly id: string }>(
  dir: string,
  log: Log,
  parse: (text: string) => Record,
): Promise<RecordStore<Record>> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const writes = new Map<string, Promise<void>>();

  /** Writes of one record happen one after the other, so that the last one wins. */
  function inOrder(id: string, work: () => Promise<void>): Promise<void> {
    const next = (writes.get(id) ?? Promise.resolve()).catch(() => {}).then(work);
    writes.set(id, next);
    return next.finally(() => {
      if (writes.get(id) === next) writes.delete(id);
    });
  }

  async function load(): Promise<Record[]> {
    const records: Record[] = [];
    for (const name of await readdir(dir)) {
      const path = join(dir, name);
      if (name.endsWith(".tmp")) await rm(path, { force: true });
      if (!name.endsWith(".json")) continue;
      try {
        records.push(parse(await readFile(path, "utf8")));
      } catch (error) {
        // Kept for a look, out of the way: one broken file must not keep the others from starting.
        log.error("Record not readable, set aside", { file: name, error });
        await rename(path, `${path}.broken`);
      }
    }
    return records;
  }

  return {
    load,
    save: (record) =>
      inOrder(record.id, async () => {
        const path = join(dir, `${record.id}.json`);
        await writeFile(`${path}.tmp`, JSON.stringify(record), { mode: 0o600 });
        await rename(`${path}.tmp`, path);
      }),
    remove: (id) => inOrder(id, () => rm(join(dir, `${id}.json`), { force: true })),
  };
}
