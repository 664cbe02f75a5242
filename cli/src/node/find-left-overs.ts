import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Whether a gateway that is gone has left sandboxes, or kernels that it had booted ahead. */
export async function hasLeftOvers(home: string): Promise<boolean> {
  const folders = await Promise.all(["sandboxes", "boots"].map((name) => readdir(join(home, name)).catch(() => [])));
  return folders.some((names) => names.length > 0);
}
