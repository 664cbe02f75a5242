import type { ImageUser } from "#runtime/backend/local/image.ts";

/** The text of an image's `/etc/passwd` and `/etc/group`; empty when it has none. */
export interface UserDatabase {
  readonly passwd: string;
  readonly group: string;
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const MAX_ID = 4_294_967_294;

/**
 * Resolves an image's `User` ("", "name", "uid", "name:group", "uid:gid") as container engines
 * do. A group given explicitly replaces the supplementary groups. Undefined when a name is unknown.
 */
export function resolveImageUser(user: string, database: UserDatabase): ImageUser | undefined {
  const colon = user.indexOf(":");
  const wantedUser = (colon < 0 ? user : user.slice(0, colon)) || "0";
  const wantedGroup = colon < 0 ? "" : user.slice(colon + 1);
  const account = findAccount(wantedUser, lines(database.passwd).flatMap(parseAccount));
  if (account === undefined) return undefined;
  const groups = lines(database.group).flatMap(parseGroup);
  if (wantedGroup === "") {
    const additionalGids = groups.filter((group) => group.members.includes(account.name)).map((group) => group.gid);
    return { uid: account.uid, gid: account.gid, additionalGids: [...new Set(additionalGids)], home: account.home };
  }
  const gid = groups.find((group) => group.name === wantedGroup)?.gid ?? parseId(wantedGroup);
  return gid === undefined ? undefined : { uid: account.uid, gid, additionalGids: [], home: account.home };
}

function findAccount(wanted: string, accounts: readonly Account[]): Account | undefined {
  const named = accounts.find((account) => account.name === wanted);
  if (named !== undefined) return named;
  const uid = parseId(wanted);
  if (uid === undefined) return undefined;
  const listed = accounts.find((account) => account.uid === uid);
  return listed ?? { name: "", uid, gid: 0, home: uid === 0 ? "/root" : "/" };
}

function parseAccount(line: string): Account[] {
  const [name, , uidText, gidText, , home] = line.split(":");
  const uid = parseId(uidText);
  const gid = parseId(gidText);
  if (name === undefined || name === "" || uid === undefined || gid === undefined) return [];
  return [{ name, uid, gid, home: home?.startsWith("/") ? home : "/" }];
}

function parseGroup(line: string): Group[] {
  const [name, , gidText, members] = line.split(":");
  const gid = parseId(gidText);
  if (name === undefined || name === "" || gid === undefined) return [];
  return [{ name, gid, members: (members ?? "").split(",").filter((member) => member !== "") }];
}

function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= MAX_ID ? id : undefined;
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}
