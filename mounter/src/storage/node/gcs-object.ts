import * as z from "zod";
import type { StoredObject } from "../port.ts";

/** User metadata of objects: who wrote it. */
export const GCS_MARK = "atoll-write";

/** An object as the JSON API tells of it. */
export const GcsObject = z.object({
  name: z.string(),
  size: z.coerce.number(),
  generation: z.string().regex(/^\d+$/),
  updated: z.string().optional(),
  md5Hash: z.string().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
});

export type GcsObject = z.infer<typeof GcsObject>;

export const GcsPage = z.object({
  items: z.array(GcsObject).default([]),
  nextPageToken: z.string().optional(),
});

export function gcsStoredObject({ name, size, generation, updated }: GcsObject): StoredObject {
  return { key: name, sizeBytes: size, version: generation, modifiedAtMs: Date.parse(updated ?? "") || 0 };
}
