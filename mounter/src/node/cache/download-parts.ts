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
import type { PartialPaths } from "./cache-paths.ts";

const { O_CREAT, O_NOFOLLOW, O_RDWR, O_TRUNC, O_WRONLY, O_APPEND } = constants;

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
}

/** Brings the parts of an object that are not on the disk yet. Answers whether some were from before. */
export async function downloadParts(request: PartsRequest): Promise<{ readonly isResumed: boolean }> {
  const { paths, bytes, partBytes, parallel, onBytes } = request;
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
  let doneBytes = bytes - missing.reduce((sum, part) => sum + part.sizeBytes, 0);
  onBytes(doneBytes);
  await eachAtOnce(missing, parallel, request.signal, async (part, signal) => {
    await bringPart(part, file, { ...request, signal });
    await notes.appendFile(partLine(part.index));
    doneBytes += part.sizeBytes;
    onBytes(doneBytes);
  });
  await file.sync();
  return { isResumed: (known?.done.size ?? 0) > 0 };
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
        for await (const chunk of store.read(object, { offset: part.offset, sizeBytes: part.sizeBytes }, { signal })) {
          await writeAll(file, chunk, at);
          at += chunk.length;
        }
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

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, offset + at);
    at += bytesWritten;
  }
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
