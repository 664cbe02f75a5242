import { ArchiveFault } from "./archive-fault.ts";

const PREFIX = "system.posix_acl_";
const ENTRY_BYTES = 8;
const VERSION = 2;
/** Tags of entries of which there is one at most: owner, group, mask, others. */
const SINGLE_TAGS = new Set([0x01, 0x04, 0x10, 0x20]);
/** Tags of entries that name somebody: user, group. */
const NAMED_TAGS = new Set([0x02, 0x08]);
/** The one that lists without named entries need not have. */
const MASK_TAG = 0x10;
const NOBODY = 0xffffffff;

export function isAccessList(xattr: string): boolean {
  return xattr.startsWith(PREFIX);
}

/** Whether gVisor will take an access list; a restore stops at one that it does not take. */
export function checkAccessList(xattr: string, value: string): void {
  if (xattr !== `${PREFIX}access` && xattr !== `${PREFIX}default`) throw fault("is of no known kind");
  if (!/^[A-Za-z0-9+/]*$/.test(value) || value.length % 4 === 1) throw fault("is not base64 without padding");
  const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  if (bytes.length < 4 || (bytes.length - 4) % ENTRY_BYTES !== 0) throw fault("is cut");
  if (view.getUint32(0, true) !== VERSION) throw fault(`is not of version ${VERSION}`);
  const tags = new Set<number>();
  let hasNamed = false;
  for (let at = 4; at < bytes.length; at += ENTRY_BYTES) {
    const tag = view.getUint16(at, true);
    if (view.getUint16(at + 2, true) > 7) throw fault("has rights that there are not");
    if (NAMED_TAGS.has(tag)) {
      hasNamed = true;
      if (view.getUint32(at + 4, true) === NOBODY) throw fault("names nobody");
    } else if (!SINGLE_TAGS.has(tag)) throw fault("has an entry of no known kind");
    else if (tags.has(tag)) throw fault("has two entries of one kind");
    tags.add(tag);
  }
  const lacks = [...SINGLE_TAGS].some((tag) => !tags.has(tag) && (tag !== MASK_TAG || hasNamed));
  if (tags.size > 0 && lacks) throw fault("lacks an entry that each list has");
}

function fault(what: string): ArchiveFault {
  return new ArchiveFault("invalid", `an access list ${what}`);
}
