export type EntryKind = "file" | "hardLink" | "symlink" | "character" | "block" | "folder" | "fifo";

/** What an entry of an archive says of itself but its data. Names are byte strings. */
export interface EntryHead {
  readonly kind: EntryKind;
  /** `./` is the root, `./a/b` a file, `./a/` a folder. */
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  /** Of the data that follows; 0 for all but files. */
  readonly sizeBytes: number;
  /** Path of the entry that a hard link is another name of, or target of a symbolic link; else empty. */
  readonly target: string;
  readonly device: { readonly major: number; readonly minor: number };
  /** Extended attributes; access lists in base64, all else as it is. */
  readonly xattrs: ReadonlyMap<string, string>;
}

export const ROOT_PATH = "./";
export const OPAQUE_XATTR = "trusted.overlay.opaque";
export const NO_XATTRS: ReadonlyMap<string, string> = new Map();
export const NO_DEVICE = { major: 0, minor: 0 } as const;

/** Says that the image has something under this path, and the container no more. */
export function isWhiteout(head: Pick<EntryHead, "kind" | "device">): boolean {
  return head.kind === "character" && head.device.major === 0 && head.device.minor === 0;
}

/** Says that nothing which the image has in this folder is seen. */
export function isOpaque(head: Pick<EntryHead, "kind" | "xattrs">): boolean {
  return head.kind === "folder" && head.xattrs.has(OPAQUE_XATTR);
}

/** A path without the slash that ends a folder's: one name has one entry, whatever its kind. */
export function pathKey(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

/** Key of the folder that an entry lies in; undefined for the root. */
export function parentKey(key: string): string | undefined {
  const slash = key.lastIndexOf("/");
  return slash === -1 ? undefined : key.slice(0, slash);
}
