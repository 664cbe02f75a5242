import type { StoredLayer } from "../../domain/archive.ts";
import { readChunks } from "../read-chunks.ts";

/** A stored layer that lies on the disk as a whole. */
export function storedFile(path: string, sums?: StoredLayer["sums"]): StoredLayer {
  return { open: (signal) => readChunks(path, signal), ...(sums && { sums }) };
}
