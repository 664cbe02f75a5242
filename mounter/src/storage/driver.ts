import type { ListOptions, Page, PendingUpload, PutCondition, StoredObject, WrittenObject } from "./port.ts";

/** What a kind of store asks of uploads in parts. */
export interface UploadRules {
  /** Parts at once; 1 = in order only. */
  readonly parallel: number;
  /** All parts but the last have exactly this size. */
  readonly partBytes: number;
  readonly mostParts: number;
}

/** What is written, and who wrote it: by the mark a writer whose answer was lost finds its own write again. */
export interface Write {
  readonly key: string;
  readonly condition: PutCondition;
  readonly mark: string;
}

export interface Part {
  /** From 0. */
  readonly index: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

/** An upload under way. Each call may be repeated. */
export interface DriverUpload {
  part(part: Part, signal: AbortSignal): Promise<void>;
  /** Makes the object appear; all parts are there. */
  complete(signal: AbortSignal): Promise<WrittenObject>;
  abort(signal: AbortSignal): Promise<void>;
}

/** A page of at most `limit`. */
export type PageRequest = ListOptions & Required<Pick<ListOptions, "limit">>;

/** Where to read; without a size to the end, with a version only that one, else `changed`. */
export interface ReadRange {
  readonly offset: number;
  readonly sizeBytes?: number;
  readonly version?: string;
}

export interface Opened {
  readonly object: StoredObject;
  readonly body: AsyncIterable<Uint8Array>;
}

export interface Found {
  readonly object: StoredObject;
  /** `mark` of the write that made it, where the store keeps it. */
  readonly mark: string | undefined;
}

/**
 * One attempt of each thing a store can do: `createObjectStore` adds deadlines, repetition and parts.
 * Throws `StoreError`: `unavailable` is tried again.
 */
export interface StoreDriver {
  /** The store's URL without settings. */
  readonly name: string;
  readonly rules: UploadRules;
  put(write: Write, bytes: Uint8Array, signal: AbortSignal): Promise<WrittenObject>;
  begin(write: Write, signal: AbortSignal): Promise<DriverUpload>;
  /** The signal ends the body too. */
  open(key: string, range: ReadRange, signal: AbortSignal): Promise<Opened>;
  stat(key: string, signal: AbortSignal): Promise<Found>;
  list(prefix: string, page: PageRequest, signal: AbortSignal): Promise<Page<StoredObject>>;
  remove(key: string, version: string | undefined, signal: AbortSignal): Promise<void>;
  listUploads(prefix: string, page: PageRequest, signal: AbortSignal): Promise<Page<PendingUpload>>;
  abortUpload(upload: PendingUpload, signal: AbortSignal): Promise<void>;
  close(): void;
}
