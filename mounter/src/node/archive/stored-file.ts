import { createReadStream } from "node:fs";
import type { StoredLayer } from "../../domain/archive.ts";

const READ_BYTES = 1024 * 1024;

/** A stored layer that lies on the disk as a whole. */
export function storedFile(path: string, sums?: StoredLayer["sums"]): StoredLayer {
  const open: StoredLayer["open"] = (signal) => createReadStream(path, { highWaterMark: READ_BYTES, signal });
  return { open, ...(sums && { sums }) };
}
