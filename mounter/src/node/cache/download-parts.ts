import { constants } from "node:fs";
import { mkdir, open, readFile, type FileHandle } from "node:fs/promises";
import {
  layerParts,
  notesHead,
  parseNotes,
  partLine,
  type LayerPart,
  type PartsNote,
} from "../../domain/layer-parts.ts";
import type { Quota } from "../../domain/quota.ts";
import { SnapshotFault } from "../../domain/snapshot-fault.ts";
import type { ObjectStore, StoredObject } from "../../storage/port.ts";
import { createWriteBehind } from "../write-behind.ts";
import type { PartialPaths } from "./cache-paths.ts";

const { O_CREAT, O_NOFOLLOW, O_RDWR, O_TRUNC, O_WRONLY, O_APPEND } = constants;

/** Bytes, and pieces, that are written at once. */
const BUNDLE_BYTES = 1 << 20;
const MOST_BUNDLED = 512;

export interface PartsRequest {
  readonly store: ObjectStore;
  readonly object: Pick<StoredObject, "key" | "version">;
  readonly bytes: number;
  readonly partBytes: number;
  /** How many parts of this layer come at once. */
  readonly parallel: number;
  /** What all downloads share. */
  readonly lanes: Quota;
  readonly paths: PartialPaths;
  readonly signal: AbortSignal;
  /** Asked when the disk is full; resolves when it may be tried again. */
  readonly onFull: (missingBytes: number, cause: unknown) => Promise<void>;
  readonly onBytes: (doneBytes: number) => void;
  /** Told once before anything comes: the file is there, and whether some of it is from before. */
  readonly onBegin: (isResumed: boolean) => Promise<void>;
  /** So many bytes from the beginning are on the disk. */
  readonly onWhole: (wholeBytes: number) => void;
}

/** Brings the parts of an object that are not on the disk yet. Answers whether some were from before. */
export async function downloadParts(request: PartsRequest): Promise<{ readonly isResumed: boolean }> {
  const { paths, bytes, partBytes, parallel, onBytes, onBegin, onWhole } = request;
  await mkdir(paths.folder, { recursive: true, mode: 0o700 });
  const known = await knownParts(paths, request);
  const flags = known === undefined ? O_TRUNC : 0;
  await using files = new AsyncDisposableStack();
  // What the notes say is there has to be gone before they are: else they would speak of what is not.
  const notes = files.use(await open(paths.notes, O_WRONLY | O_CREAT | O_NOFOLLOW | O_APPEND | flags, 0o600));
  const file = files.use(await open(paths.file, O_RDWR | O_CREAT | O_NOFOLLOW | flags, 0o600));
  if (known === undefined) await notes.appendFile(notesHead({ bytes, partBytes }));
  const parts = layerParts(bytes, partBytes);
  const missing = parts.filter(({ index }) => known?.done.has(index) !== true);
  const isResumed = missing.length < parts.length;
  let doneBytes = bytes - missing.reduce((sum, part) => sum + part.sizeBytes, 0);
  onBytes(doneBytes);
  await onBegin(isResumed);
  const whole = createWholePart(parts, new Set(missing));
  const writing = createWriteBehind(file);
  try {
    await eachAtOnce(missing, parallel, request.signal, async (part, signal) => {
      await bringPart(part, file, { ...request, signal });
      await notes.appendFile(partLine(part.index));
      doneBytes += part.sizeBytes;
      onBytes(doneBytes);
      onWhole(whole.add(part));
      writing.wrote(part.sizeBytes);
    });
  } finally {
    await writing.rest();
  }
  await file.sync();
  return { isResumed };
}

/** What is there from before, when it is of the same object in the same parts. */
async function knownParts({ notes }: PartialPaths, { bytes, partBytes }: PartsRequest): Promise<PartsNote | undefined> {
  const text = await readFile(notes, "utf8").catch(() => "");
  const known = parseNotes(text);
  return known?.bytes === bytes && known.partBytes === partBytes && text.endsWith("\n") ? known : undefined;
}

async function bringPart(part: LayerPart, file: FileHandle, request: PartsRequest): Promise<void> {
  const { store, object, lanes, signal, onFull } = request;
  const leave = await lanes.take(1, signal);
  try {
    for (let isAgain = false; ; isAgain = true) {
      try {
        let at = part.offset;
        const range = { offset: part.offset, sizeBytes: part.sizeBytes };
        for await (const chunks of inBundles(store.read(object, range, { signal })))
          at += await writeAll(file, chunks, at);
        if (at === part.offset + part.sizeBytes) return;
        throw new SnapshotFault("damaged", `${object.key} ends before its ${request.bytes} bytes.`);
      } catch (error) {
        if (isAgain || !isDiskFull(error)) throw error;
        await onFull(part.sizeBytes, error);
      }
    }
  } finally {
    leave();
  }
}

export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Stores send small pieces: a write for each would cost more than the bytes. */
async function* inBundles(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array[], void, undefined> {
  let bundle: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    bundle.push(chunk);
    bytes += chunk.length;
    if (bytes < BUNDLE_BYTES && bundle.length < MOST_BUNDLED) continue;
    yield bundle;
    [bundle, bytes] = [[], 0];
  }
  if (bytes > 0) yield bundle;
}

/** Answers how many bytes that were. */
async function writeAll(file: FileHandle, chunks: readonly Uint8Array[], offset: number): Promise<number> {
  const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
  const { bytesWritten } = await file.writev(chunks, offset);
  if (bytesWritten === bytes) return bytes;
  const rest = Buffer.concat(chunks).subarray(bytesWritten);
  for (let at = 0; at < rest.length;)
    at += (await file.write(rest, at, rest.length - at, offset + bytesWritten + at)).bytesWritten;
  return bytes;
}

/** How much of a file is there from its beginning on, while its parts come in any order. */
function createWholePart(parts: readonly LayerPart[], missing: Set<LayerPart>) {
  let next = 0;
  return {
    /** Answers how much is whole with this part. */
    add(part: LayerPart): number {
      missing.delete(part);
      for (let at = parts[next]; at !== undefined && !missing.has(at); at = parts[next]) next += 1;
      const last = parts[next - 1];
      return last === undefined ? 0 : last.offset + last.sizeBytes;
    },
  };
}

/** So many at once; the first failure ends the others, and all have come to rest when this returns. */
async function eachAtOnce<Item>(
  items: readonly Item[],
  width: number,
  signal: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const end = new AbortController();
  const onAbort = (): void => end.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener("abort", onAbort, { once: true });
  const rest = items.values();
  const lane = async (): Promise<void> => {
    try {
      for (const item of rest) {
        end.signal.throwIfAborted();
        await work(item, end.signal);
      }
    } catch (error) {
      end.abort(error);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  signal.removeEventListener("abort", onAbort);
  end.signal.throwIfAborted();
}
