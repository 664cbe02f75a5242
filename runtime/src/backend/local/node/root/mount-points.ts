import { REGULAR } from "./erofs-format.ts";
import { isFolder, makeFile, makeFolder, typeOf, type TreeNode } from "./tree.ts";

const FOLDERS: readonly (readonly [name: string, mode: number])[] = [
  ["proc", 0o555],
  ["sys", 0o555],
  ["dev", 0o755],
  ["tmp", 0o1777],
];
const FILES = ["resolv.conf", "hosts", "hostname"] as const;

/** Gives a root the places where a sandbox's mounts go, whatever its layers made of them. */
export function ensureMountPoints(root: TreeNode): void {
  for (const [name, mode] of FOLDERS) folderAt(root, name, mode);
  const etc = folderAt(root, "etc", 0o755);
  for (const name of FILES) {
    const found = etc.children?.get(name);
    if (found === undefined || typeOf(found) !== REGULAR) etc.children?.set(name, makeFile(0o644));
  }
}

function folderAt(root: TreeNode, name: string, mode: number): TreeNode {
  const found = root.children?.get(name);
  if (isFolder(found)) return found;
  const made = makeFolder(mode);
  root.children?.set(name, made);
  return made;
}
