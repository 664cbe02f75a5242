import type { StoreError } from "./store-error.ts";

/** What every call takes. */
export interface StoreCall {
  /** Ends the call, with the signal's own reason. */
  readonly signal: AbortSignal;
  /** Told what keeps the call from going on: the store gave no answer and is asked again, or has been silent for long. */
  readonly onTrouble?: (error: StoreError) => void;
}

/** An object as the store knows it. */
export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Changes whenever the content does: an ETag or a generation. Says nothing by itself. */
  readonly version: string;
  readonly modifiedAtMs: number;
}

/** What a write answers. */
export type WrittenObject = Pick<StoredObject, "key" | "sizeBytes" | "version">;

/** When a write may happen. */
export type PutCondition =
  /** Whatever is there. */
  | { readonly kind: "always" }
  /** There is no such object. */
  | { readonly kind: "absent" }
  /** The object there is still this one. */
  | { readonly kind: "unchanged"; readonly version: string };

export interface UploadOptions {
  readonly condition: PutCondition;
  /** Bytes that the store has taken so far; never falls. */
  readonly onProgress?: (storedBytes: number) => void;
}

/** A part of an object, never beyond its end. */
export interface ByteRange {
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface ListOptions {
  /** Of the page before. */
  readonly cursor?: string;
  /** Most objects of a page, 1 to 1000; a page may have fewer and yet not be the last. @default 1000 */
  readonly limit?: number;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Cursor of the next page; absent = this is the last. */
  readonly next?: string;
}

/** An upload that was begun and neither completed nor aborted. */
export interface PendingUpload {
  readonly key: string;
  readonly id: string;
  readonly startedAtMs: number;
}

/**
 * Object storage as snapshots need it. Keys are segments split by slashes, as `checkKey` says; no key
 * goes on below another, as `a/b` would below `a`: a folder has one thing under one name. Each attempt
 * has a deadline, a stall is an error, and what may pass is tried again a bounded number of times.
 * Calls throw `StoreError`, or the reason of their signal.
 */
export interface ObjectStore {
  /** How errors name it: its URL without settings. */
  readonly name: string;
  /** Whether its owner wants what was uploaded to be read back before anything relies on it. */
  readonly readsBack: boolean;

  /**
   * Stores a stream of unknown length, in parts of bounded size and with bounded memory. The object
   * appears whole or not at all; what fails is aborted. The store checks a checksum of each part;
   * the digest of the whole is the caller's to compute as the bytes pass.
   */
  upload(
    key: string,
    source: AsyncIterable<Uint8Array>,
    options: UploadOptions,
    call: StoreCall,
  ): Promise<WrittenObject>;

  /** Stores a few bytes at once. Repeating it after a lost answer is safe: an own write is recognized. */
  put(key: string, bytes: Uint8Array, condition: PutCondition, call: StoreCall): Promise<WrittenObject>;

  /** Reads an object of at most so many bytes; a larger one is `invalid`. */
  get(
    key: string,
    mostBytes: number,
    call: StoreCall,
  ): Promise<{ readonly object: StoredObject; readonly bytes: Uint8Array }>;

  /**
   * Reads a range of exactly this version, and goes on after a cut where it was. An object that was
   * replaced or removed meanwhile is `changed`: bytes of two versions never mix. The bytes of the
   * whole are the caller's to compare with their digest.
   */
  read(object: Pick<StoredObject, "key" | "version">, range: ByteRange, call: StoreCall): AsyncIterable<Uint8Array>;

  stat(key: string, call: StoreCall): Promise<StoredObject>;

  /** Objects whose keys begin with the prefix, in the order of their keys. */
  list(prefix: string, options: ListOptions, call: StoreCall): Promise<Page<StoredObject>>;

  /** Removes an object; with a version only that one, else it is `changed`. What is not there is removed. */
  remove(key: string, options: { readonly version?: string }, call: StoreCall): Promise<void>;

  /** Uploads under a prefix that were never finished. Stores whose uploads expire by themselves have none. */
  listUploads(prefix: string, options: ListOptions, call: StoreCall): Promise<Page<PendingUpload>>;

  /** Ends an upload of somebody who is gone, and frees what it holds. One that is not there is ended. */
  abortUpload(upload: PendingUpload, call: StoreCall): Promise<void>;

  /** Closes idle connections. */
  close(): void;
}
