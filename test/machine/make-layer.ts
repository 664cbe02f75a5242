import type { TarEntry } from "#runtime/backend/local/node/root/tar-header.ts";
import { pad } from "#runtime/backend/local/node/root/tar-reader.ts";
import { encodeHeader, TAR_END } from "#runtime/backend/local/node/root/tar-writer.ts";

/** A member of a layer; a folder when its name ends with a slash, a file otherwise, unless it says so. */
export type Member = Partial<Omit<TarEntry, "xattrs">> & {
  readonly name: string;
  readonly data?: string | Buffer;
  readonly xattrs?: Readonly<Record<string, string>>;
};

/** A layer's archive. */
export function makeLayer(members: readonly Member[]): Buffer {
  const parts = members.flatMap(({ data = "", xattrs = {}, ...member }) => {
    const bytes = Buffer.from(data as string);
    const content = Buffer.alloc(pad(bytes.length));
    bytes.copy(content);
    const entry: TarEntry = {
      type: member.name.endsWith("/") ? "folder" : "file",
      linkName: "",
      bytes: bytes.length,
      mode: 0o644,
      uid: 0,
      gid: 0,
      seconds: 1_600_000_000n,
      nanoseconds: 0,
      major: 0,
      minor: 0,
      ...member,
      xattrs: Object.entries(xattrs),
    };
    return [encodeHeader(entry), content];
  });
  return Buffer.concat([...parts, TAR_END]);
}
