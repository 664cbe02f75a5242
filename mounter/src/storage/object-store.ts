import type { Clock } from "#core/clock.ts";
import type { StoreDriver } from "./driver.ts";
import { settleWrite } from "./own-write.ts";
import type { ListOptions, ObjectStore, StoredObject } from "./port.ts";
import { readRange } from "./read-range.ts";
import { withRetries, type Patience } from "./retry.ts";
import { isStoreError, StoreError } from "./store-error.ts";
import { checkKey, checkPrefix } from "./store-key.ts";
import { uploadParts } from "./upload-parts.ts";

export interface ObjectStoreOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Mark of a write: never the same twice. */
  readonly newMark: () => string;
  readonly patience: Patience;
  /** @default false */
  readonly readsBack?: boolean;
}

const MOST_LISTED = 1000;

/** The port over one kind of store: deadlines, repetition, parts and resumption are the same for all. */
export function createObjectStore(driver: StoreDriver, options: ObjectStoreOptions): ObjectStore {
  const { name } = driver;
  const limitOf = ({ limit }: ListOptions): number => Math.min(Math.max(limit ?? MOST_LISTED, 1), MOST_LISTED);
  const store: ObjectStore = {
    name,
    readsBack: options.readsBack ?? false,
    async upload(key, source, { condition, onProgress }, call) {
      checkKey(name, key);
      const write = { key, condition, mark: options.newMark() };
      const what = `Cannot write ${key} to ${name}`;
      return uploadParts(source, { ...call, driver, ports: options, write, what, onProgress });
    },
    async put(key, bytes, condition, call) {
      checkKey(name, key);
      const write = { key, condition, mark: options.newMark() };
      const attempt = { ...call, what: `Cannot write ${key} to ${name}`, sizeBytes: bytes.length };
      return settleWrite(driver, options, { write, attempt }, (once) => driver.put(write, bytes, once));
    },
    async get(key, mostBytes, call) {
      checkKey(name, key);
      // They are few: the time of an answer is enough for them.
      const attempt = { ...call, what: `Cannot read ${key} of ${name}` };
      return withRetries(options, attempt, (once) => getOnce(driver, { key, mostBytes, what: attempt.what }, once));
    },
    async *read(object, range, call) {
      checkKey(name, object.key);
      yield* readRange(range, {
        ...call,
        driver,
        ports: options,
        object,
        what: `Cannot read ${object.key} of ${name}`,
      });
    },
    async stat(key, call) {
      checkKey(name, key);
      const what = `Cannot look at ${key} of ${name}`;
      return (await withRetries(options, { ...call, what }, (once) => driver.stat(key, once))).object;
    },
    async list(prefix, page, call) {
      checkPrefix(name, prefix);
      const what = `Cannot list ${prefix || "objects"} of ${name}`;
      return withRetries(options, { ...call, what }, (once) =>
        driver.list(prefix, { ...page, limit: limitOf(page) }, once),
      );
    },
    async remove(key, { version }, call) {
      checkKey(name, key);
      const what = `Cannot remove ${key} of ${name}`;
      await withRetries(options, { ...call, what }, (once) => removeOnce(driver, key, version, once));
    },
    async listUploads(prefix, page, call) {
      checkPrefix(name, prefix);
      const what = `Cannot list unfinished uploads of ${name}`;
      return withRetries(options, { ...call, what }, (once) =>
        driver.listUploads(prefix, { ...page, limit: limitOf(page) }, once),
      );
    },
    async abortUpload(upload, call) {
      checkKey(name, upload.key);
      const what = `Cannot end an upload of ${upload.key} to ${name}`;
      await withRetries(options, { ...call, what }, (once) => driver.abortUpload(upload, once));
    },
    close: () => driver.close(),
  };
  return store;
}

/** To be absent is to be removed, also for stores that call it a broken condition, and after a lost answer. */
async function removeOnce(
  driver: StoreDriver,
  key: string,
  version: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  try {
    await driver.remove(key, version, signal);
  } catch (error) {
    if (!isStoreError(error, "changed") && !isStoreError(error, "absent")) throw error;
    const found = await driver.stat(key, signal).catch((cause: unknown) => {
      if (isStoreError(cause, "absent")) return undefined;
      throw cause;
    });
    if (found !== undefined) throw error;
  }
}

async function getOnce(
  driver: StoreDriver,
  { key, mostBytes, what }: { readonly key: string; readonly mostBytes: number; readonly what: string },
  signal: AbortSignal,
): Promise<{ object: StoredObject; bytes: Uint8Array }> {
  const end = new AbortController();
  const { object, body } = await driver.open(key, { offset: 0 }, AbortSignal.any([signal, end.signal]));
  try {
    if (object.sizeBytes > mostBytes)
      throw new StoreError("invalid", `${what}: it has ${object.sizeBytes} bytes; at most ${mostBytes} are expected.`);
    const bytes = new Uint8Array(object.sizeBytes);
    let at = 0;
    for await (const chunk of body) {
      if (at + chunk.length > bytes.length) throw new StoreError("unavailable", `${what}: it is longer than was said.`);
      bytes.set(chunk, at);
      at += chunk.length;
    }
    if (at < bytes.length)
      throw new StoreError("unavailable", `${what}: the answer ended after ${at} of ${bytes.length} bytes.`);
    return { object, bytes };
  } catch (error) {
    end.abort(error);
    throw error;
  }
}
