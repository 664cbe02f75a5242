import { constants, type BigIntStats } from "node:fs";
import { link, lstat, open, rename, unlink, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import type { DriverUpload, StoreDriver, UploadRules, Write } from "../driver.ts";
import type { PutCondition, StoredObject, WrittenObject } from "../port.ts";
import { StoreError } from "../store-error.ts";
import { folderFault, isErrno } from "./folder-fault.ts";
import { listFolder } from "./folder-list.ts";
import { createFolderLock, type FolderLock } from "./folder-lock.ts";
import { inFolder, openFolder } from "./folder-path.ts";

export const FOLDER_RULES: UploadRules = { parallel: 2, partBytes: 4 << 20, mostParts: 1 << 20 };
const READ_BYTES = 1 << 18;
/** Begins names of files that are no objects: no key's segment begins with a dot. */
const PART = ".part-";
const LOCK = ".lock";
const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

export interface FolderOptions {
  /** Absolute; it has to be there. */
  readonly path: string;
  readonly clock: Clock;
  readonly rules: UploadRules;
}

/**
 * A folder of this machine. An object is a file that appears by a rename or a link, when it is on the
 * disk as a whole; the folder's entry is on the disk when a call returns.
 */
export function createFolderDriver({ path: root, clock, rules }: FolderOptions): StoreDriver {
  const name = `file://${root}`;
  const store: Store = { root, name, lock: createFolderLock(join(root, LOCK), clock) };

  return {
    name,
    rules,
    async put(write, bytes, signal) {
      const upload = await begin(store, write);
      try {
        await upload.part({ index: 0, offset: 0, bytes, isLast: true }, signal);
        return await upload.complete(signal);
      } catch (error) {
        await upload.abort(signal).catch(() => undefined);
        throw error;
      }
    },
    begin: (write) => begin(store, write),
    open: (key, { offset, sizeBytes, version }, signal) =>
      fault(`Cannot read ${key} of ${name}`, async () => {
        const file = await openObject(store, key);
        try {
          const object = objectOf(key, await file.stat({ bigint: true }));
          if (version !== undefined && object.version !== version) throw replaced(`Cannot read ${key} of ${name}`);
          const end = sizeBytes === undefined ? object.sizeBytes : offset + sizeBytes;
          if (end > object.sizeBytes)
            throw new StoreError("invalid", `Cannot read ${key} of ${name}: it ends at byte ${object.sizeBytes}.`);
          // A body that nobody begins to read closes nothing by itself.
          signal.addEventListener("abort", () => void file.close(), { once: true });
          return { object, body: readFile(file, { offset, end, signal }) };
        } catch (error) {
          await file.close();
          throw error;
        }
      }),
    stat: (key) =>
      fault(`Cannot look at ${key} of ${name}`, async () => {
        const file = await openObject(store, key);
        try {
          return { object: objectOf(key, await file.stat({ bigint: true })), mark: undefined };
        } finally {
          await file.close();
        }
      }),
    list: (prefix, page) =>
      fault(`Cannot list ${name}/${prefix}`, () =>
        listFolder(root, { prefix, page, wanted: (file) => !file.startsWith("."), itemOf: objectOf }),
      ),
    remove: (key, version, signal) =>
      fault(`Cannot remove ${key} of ${name}`, () => remove(store, key, version, signal)),
    listUploads: (prefix, page) =>
      fault(`Cannot list unfinished uploads of ${name}`, () =>
        listFolder(root, {
          prefix,
          page,
          wanted: (file) => file.startsWith(PART),
          nameOf: (file) => file.slice(file.indexOf(".", PART.length) + 1),
          itemOf: (key, stats, file) => ({
            key,
            id: file.slice(PART.length, file.indexOf(".", PART.length)),
            startedAtMs: Number(stats.mtimeMs),
          }),
        }),
      ),
    abortUpload: ({ key, id }) =>
      fault(`Cannot end an upload of ${key} to ${name}`, () =>
        inFolderOf(store, key, { create: false }, (folder, file) =>
          unlinkIfThere(inFolder(folder, partName(id, file))),
        ),
      ),
    close: () => store.lock.close(),
  };
}

interface Store {
  readonly root: string;
  readonly name: string;
  readonly lock: FolderLock;
}

async function begin({ root, name, lock }: Store, { key, condition, mark }: Write): Promise<DriverUpload> {
  const what = `Cannot write ${key} to ${name}`;
  if (!/^[A-Za-z0-9-]{1,40}$/.test(mark)) throw new RangeError("A mark is at most 40 letters, digits and hyphens");
  const [segments, file] = split(key);
  const part = partName(mark, file);
  const folder = await fault(what, () => openFolder(root, segments, { create: true }));
  const content = await fault(what, () =>
    open(inFolder(folder, part), O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600),
  ).catch(async (error: unknown) => {
    await folder.close();
    throw error;
  });
  const close = async (): Promise<void> => {
    await Promise.all([content.close(), folder.close()]);
  };
  return {
    part: ({ offset, bytes }) => fault(what, () => writeAll(content, bytes, offset)),
    complete: (signal) =>
      fault(what, async () => {
        await content.sync();
        const names = { part: inFolder(folder, part), whole: inFolder(folder, file) };
        await lock.run(signal, () => publish(names, condition, what));
        await folder.sync();
        const { sizeBytes, version } = objectOf(key, await content.stat({ bigint: true }));
        await close();
        return { key, sizeBytes, version } satisfies WrittenObject;
      }),
    abort: () =>
      fault(what, async () => {
        await unlinkIfThere(inFolder(folder, part));
        await close();
      }),
  };
}

/** Makes the file appear under its name, if the condition holds; called by one at a time. */
async function publish(
  { part, whole }: { readonly part: string; readonly whole: string },
  condition: PutCondition,
  what: string,
): Promise<void> {
  switch (condition.kind) {
    case "always":
      return rename(part, whole);
    case "absent":
      try {
        await link(part, whole);
      } catch (error) {
        throw isErrno(error, "EEXIST") ? replaced(what) : error;
      }
      return unlink(part);
    case "unchanged":
      if ((await versionAt(whole)) !== condition.version) throw replaced(what);
      return rename(part, whole);
  }
}

async function remove(store: Store, key: string, version: string | undefined, signal: AbortSignal): Promise<void> {
  await inFolderOf(store, key, { create: false }, (folder, file) =>
    store.lock.run(signal, async () => {
      const path = inFolder(folder, file);
      const found = version === undefined ? undefined : await versionAt(path);
      if (found !== undefined && found !== version) throw replaced(`Cannot remove ${key} of ${store.name}`);
      await unlinkIfThere(path);
      await folder.sync();
    }),
  );
}

/** Does something in the folder of a key; nothing when there is no such folder. */
async function inFolderOf(
  { root }: Store,
  key: string,
  options: { readonly create: boolean },
  work: (folder: FileHandle, file: string) => Promise<void>,
): Promise<void> {
  const [segments, file] = split(key);
  let folder: FileHandle;
  try {
    folder = await openFolder(root, segments, options);
  } catch (error) {
    if (segments.length > 0 && isErrno(error, "ENOENT")) return;
    throw error;
  }
  try {
    await work(folder, file);
  } finally {
    await folder.close();
  }
}

async function openObject({ root, name }: Store, key: string): Promise<FileHandle> {
  const [segments, file] = split(key);
  const folder = await openFolder(root, segments, { create: false });
  try {
    const opened = await open(inFolder(folder, file), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if ((await opened.stat()).isFile()) return opened;
    await opened.close();
    throw new StoreError("invalid", `Cannot read ${key} of ${name}: it is no file.`);
  } finally {
    await folder.close();
  }
}

async function* readFile(
  file: FileHandle,
  { offset, end, signal }: { readonly offset: number; readonly end: number; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (let at = offset; at < end;) {
      signal.throwIfAborted();
      const buffer = new Uint8Array(Math.min(READ_BYTES, end - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, offset + at);
    at += bytesWritten;
  }
}

async function versionAt(path: string): Promise<string | undefined> {
  try {
    return versionOf(await lstat(path, { bigint: true }));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

async function fault<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw folderFault(what, error);
  }
}

function objectOf(key: string, stats: BigIntStats): StoredObject {
  return { key, sizeBytes: Number(stats.size), version: versionOf(stats), modifiedAtMs: Number(stats.mtimeMs) };
}

/** Each write is a new file: its number, time and size tell it from every other. */
function versionOf({ ino, mtimeNs, size }: BigIntStats): string {
  return [ino, mtimeNs, size].map((value) => value.toString(36)).join("-");
}

function split(key: string): readonly [segments: readonly string[], file: string] {
  const segments = key.split("/");
  return [segments.slice(0, -1), segments.at(-1) ?? ""];
}

function partName(mark: string, file: string): string {
  return `${PART}${mark}.${file}`;
}

function replaced(what: string): StoreError {
  return new StoreError("changed", `${what}: another object is there, or none; read it anew.`);
}
