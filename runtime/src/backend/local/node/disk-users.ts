import type { Log } from "#core/log.ts";
import type { BootControl } from "./boot-control.ts";
import type { BootFiles } from "./boot-files.ts";
import type { DiskUser } from "./disk-watch.ts";

/** All boots that have a kernel. */
export async function diskUsers(files: BootFiles): Promise<DiskUser[]> {
  const notes = await Promise.all((await files.list()).map((id) => files.readNote(id)));
  return notes.flatMap((note) => (note?.pid === undefined ? [] : [{ id: note.id, pid: note.pid }]));
}

/** Ends a boot whose disk is the largest of a machine that has hardly any left. */
export async function evictFor(
  control: BootControl,
  files: BootFiles,
  { log, user, usedBytes }: { readonly log: Log; readonly user: DiskUser; readonly usedBytes: number },
): Promise<void> {
  const note = await files.readNote(user.id);
  if (note === undefined) return;
  const mebibytes = Math.round(usedBytes / 2 ** 20);
  log.warn("Sandbox ended for the sake of the machine's disk", { boot: user.id, usedBytes });
  await control.evict(note, {
    reason: "DiskPressure",
    message: `The machine's disk was nearly full, and this sandbox took the most of it (${mebibytes} MiB), so it was stopped.`,
  });
}
