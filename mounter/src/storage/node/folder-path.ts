import { constants } from "node:fs";
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { isErrno } from "./folder-fault.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;

/** Path of a name in an open folder, whatever happens to the folder's own path meanwhile. */
export function inFolder(folder: FileHandle, name: string): string {
  return `/proc/self/fd/${folder.fd}/${name}`;
}

/** Opens a folder below another, one segment after the other, and follows no symbolic link. */
export async function openFolder(
  root: string,
  segments: readonly string[],
  { create }: { readonly create: boolean },
): Promise<FileHandle> {
  // Where the store lies is its owner's word: links on the way there are followed.
  let folder = await open(root, O_DIRECTORY | O_RDONLY);
  try {
    for (const segment of segments) {
      const next = await openChild(folder, segment, create);
      await folder.close();
      folder = next;
    }
    return folder;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

async function openChild(folder: FileHandle, name: string, create: boolean): Promise<FileHandle> {
  const path = inFolder(folder, name);
  const flags = O_DIRECTORY | O_NOFOLLOW | O_RDONLY;
  try {
    return await open(path, flags);
  } catch (error) {
    if (!create || !isErrno(error, "ENOENT")) throw error;
  }
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
  await folder.sync();
  return open(path, flags);
}
