import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Path of a runsc that may do what the mounter's may in its pod: no capability, and other processes than the node's. */
export async function bareRunsc(directory: string): Promise<string> {
  const path = join(directory, "bare-runsc");
  const program = process.env["ATOLL_RUNSC"] ?? join(process.env["ATOLL_HOME"] ?? "/var/lib/atoll", "bin/runsc");
  const bare = "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all";
  await writeFile(path, `#!/bin/sh\nexec unshare --pid --fork ${bare} ${program} "$@"\n`, { mode: 0o755 });
  return path;
}
