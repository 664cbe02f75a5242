import { checkAccessList, isAccessList } from "./access-list.ts";
import { ArchiveFault } from "./archive-fault.ts";
import { showBytes, showPath } from "./byte-string.ts";
import { OPAQUE_XATTR, ROOT_PATH, type EntryHead } from "./entry-head.ts";
import { MOST_NAME_BYTES, MOST_PATH_BYTES, MOST_TARGET_BYTES } from "./layer-limits.ts";

const MOST_MODE = 0o7777;
/** All ones stand for "no owner". */
const MOST_ID = 0xfffffffe;
const MOST_MAJOR = 0xfff;
const MOST_MINOR = 0xfffff;
/** Times are kept as nanoseconds in 64 bits; gVisor rounds the last of them up to this. */
const MOST_TIME_SECONDS = 9_223_372_037;

/** Refuses an entry that gVisor would not restore as it says, or not where it says. */
export function checkEntry(head: EntryHead): void {
  const wrong = faultOf(head);
  if (wrong !== undefined) throw new ArchiveFault("invalid", `entry "${showPath(head.path)}" ${wrong}`);
  for (const [name, value] of head.xattrs) if (isAccessList(name)) checkListOf(head, name, value);
}

function faultOf(head: EntryHead): string | undefined {
  return pathFault(head) ?? targetFault(head) ?? numbersFault(head) ?? xattrsFault(head);
}

function pathFault({ path, kind }: EntryHead): string | undefined {
  if (!path.startsWith(ROOT_PATH)) return 'has a path that does not begin with "./"';
  if (path.length > MOST_PATH_BYTES) return `has a path of ${path.length} bytes; the most are ${MOST_PATH_BYTES}`;
  if (path.includes("\0")) return "has a zero byte in its path";
  if ((kind === "folder") !== path.endsWith("/")) return "has a path that is not of its kind: folders end in a slash";
  if (path === ROOT_PATH) return undefined;
  for (const name of path.slice(ROOT_PATH.length, kind === "folder" ? -1 : undefined).split("/")) {
    if (name === "" || name === "." || name === "..") return `has "${name}" in its path`;
    if (name.length > MOST_NAME_BYTES) return `has a name of ${name.length} bytes; the most are ${MOST_NAME_BYTES}`;
  }
  return undefined;
}

function targetFault({ kind, target }: EntryHead): string | undefined {
  if (kind !== "hardLink" && kind !== "symlink") return target === "" ? undefined : "has a target, yet is no link";
  if (target === "") return "is a link without a target";
  if (target.includes("\0")) return "has a zero byte in its target";
  const most = kind === "symlink" ? MOST_TARGET_BYTES : MOST_PATH_BYTES;
  return target.length > most ? `has a target of ${target.length} bytes; the most are ${most}` : undefined;
}

function numbersFault({ kind, mode, uid, gid, mtimeSeconds, sizeBytes, device }: EntryHead): string | undefined {
  if (mode > MOST_MODE) return `has the mode 0${mode.toString(8)}; the most is 0${MOST_MODE.toString(8)}`;
  if (uid > MOST_ID || gid > MOST_ID) return "has an owner beyond 32 bits";
  if (Math.abs(mtimeSeconds) > MOST_TIME_SECONDS) return "has a time that cannot be kept";
  if (kind !== "file" && sizeBytes !== 0) return "has data, yet is no file";
  return device.major > MOST_MAJOR || device.minor > MOST_MINOR ? "has a device number that there is not" : undefined;
}

function xattrsFault({ kind, path, xattrs }: EntryHead): string | undefined {
  const opaque = xattrs.get(OPAQUE_XATTR);
  if (opaque === undefined) return undefined;
  if (kind !== "folder" || path === ROOT_PATH) return "is marked opaque, which only a folder below the root can be";
  return opaque === "y" ? undefined : `is marked opaque by "${showBytes(opaque)}" instead of "y"`;
}

function checkListOf(head: EntryHead, name: string, value: string): void {
  try {
    checkAccessList(name, value);
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error;
    throw new ArchiveFault(error.code, `entry "${showPath(head.path)}": ${error.message}`, { cause: error });
  }
}
