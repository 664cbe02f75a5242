import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Whether a gateway that is gone has left sandboxes, or kernels that it had booted ahead. */
export async function hasLeftOvers(home: string): Promise<boolean> {
  const folders = await Promise.all(["sandboxes", "boots"].map((name) => readdir(join(home, name)).catch(() => [])));
  // A record that could not be read is kept for a look; it runs nothing.
  return folders.flat().some((name) => !name.endsWith(".broken"));
}
