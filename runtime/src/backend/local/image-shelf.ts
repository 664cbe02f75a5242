import type { ImageConfig, LayeredOrigin } from "#runtime/backend/local/image.ts";

/** An image on this machine and who needs it. */
export interface ShelfImage {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly config: ImageConfig;
  readonly layered?: LayeredOrigin | undefined;
  /** Length of its upper archive; absent = it has none. */
  readonly upperBytes?: number | undefined;
  lastUsedAtMs: number;
  /** The last use that is noted on disk. */
  notedAtMs: number;
  /** Ids of the sandboxes that use it; it stays while there is one. */
  readonly holders: Set<string>;
}

/** What a reference means on this machine. */
export interface ReferenceMeaning {
  /** Of the image. */
  readonly digest: string;
  /** What the registry said: an index's own digest where the reference names one. Absent for an image built here. */
  readonly pulledDigest?: string | undefined;
}

/** What is on this machine, in memory; the pure half of the image store. */
export interface Shelf {
  readonly images: Map<string, ShelfImage>;
  /** By full reference. */
  readonly references: Map<string, ReferenceMeaning>;
}

/**
 * Images to remove, least recently used first, until those that stay have at most `maxBytes`
 * together. Held images and those of `kept` references stay, so the rest may exceed `maxBytes`.
 */
export function planEviction(shelf: Shelf, maxBytes: number, kept: ReadonlySet<string>): readonly ShelfImage[] {
  const keptDigests = new Set([...kept].map((reference) => shelf.references.get(reference)?.digest));
  const removable = [...shelf.images.values()]
    .filter((image) => image.holders.size === 0 && !keptDigests.has(image.digest))
    .sort((a, b) => a.lastUsedAtMs - b.lastUsedAtMs || (a.digest < b.digest ? -1 : 1));
  let excessBytes = totalBytes(shelf) - maxBytes;
  const planned: ShelfImage[] = [];
  for (const image of removable) {
    if (excessBytes <= 0) break;
    planned.push(image);
    excessBytes -= image.sizeBytes;
  }
  return planned;
}

export function totalBytes(shelf: Shelf): number {
  let bytes = 0;
  for (const image of shelf.images.values()) bytes += image.sizeBytes;
  return bytes;
}

/** References that mean this digest. */
export function referencesOf(shelf: Shelf, digest: string): readonly string[] {
  return [...shelf.references].filter(([, meant]) => meant.digest === digest).map(([reference]) => reference);
}
