import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { runTool, type ToolOptions } from "#runtime/backend/local/node/image-tool.ts";

/** Where a jailed tool sees the work directory. */
export const JAIL_WORK = "/work";

// The new root holds this machine's programs, read-only, and the work directory; nothing else exists in it.
const ENTER = `set -eu
jail=$1 work=$2
shift 2
for name in bin sbin lib lib32 lib64; do
  if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$jail/$name"
  elif [ -d "/$name" ]; then mkdir "$jail/$name"; mount --bind "/$name" "$jail/$name"; mount -o remount,bind,ro "$jail/$name"; fi
done
mkdir "$jail/usr" "$jail/work"
mount --bind /usr "$jail/usr"
mount -o remount,bind,ro "$jail/usr"
mount --bind "$work" "$jail/work"
exec chroot "$jail" "$@"`;

/**
 * Runs a tool that handles files of strangers where it finds nothing to harm: its own root
 * with `workDir` as the only writable place (JAIL_WORK), no network, no other processes. `jailDir`
 * must not exist; it can be removed afterwards, however the tool ended.
 */
export async function runJailed(
  command: readonly string[],
  dirs: { readonly workDir: string; readonly jailDir: string },
  options: ToolOptions,
): Promise<void> {
  await mkdir(dirs.jailDir, { mode: 0o700 });
  const isolated = ["--mount", "--propagation", "private", "--pid", "--net", "--ipc", "--fork", "--kill-child"];
  await runTool("unshare", [...isolated, "sh", "-c", ENTER, "jail", dirs.jailDir, dirs.workDir, ...command], options);
}

/** A path below the work directory as a jailed tool names it. */
export function inJail(path: string): string {
  return join(JAIL_WORK, path);
}
