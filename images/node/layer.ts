import { createHash } from "node:crypto";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { pack, type Pack } from "tar-stream";

const compress = promisify(zstdCompress);

/** Bytes with their digest, as registries keep them. */
export interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface Layer extends Blob {
  /** Digest of the archive before compression. */
  readonly diffId: string;
  readonly unpackedBytes: number;
}

export function blobOf(mediaType: string, bytes: Uint8Array<ArrayBuffer>): Blob {
  return { mediaType, bytes, digest: sha256(bytes) };
}

/** Archives a tree as a layer: sorted, owned by root, without times. Equal trees give equal bytes. */
export async function layerOf(root: string): Promise<Layer> {
  const archive = pack();
  const [tar] = await Promise.all([buffer(archive), addTree(archive, root).then(() => archive.finalize())]);
  const bytes = await compress(tar, {
    params: { [constants.ZSTD_c_compressionLevel]: 6, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  return {
    ...blobOf("application/vnd.oci.image.layer.v1.tar+zstd", bytes),
    diffId: sha256(tar),
    unpackedBytes: tar.byteLength,
  };
}

async function addTree(archive: Pack, root: string, folder = ""): Promise<void> {
  for (const name of (await readdir(join(root, folder))).toSorted((a, b) => (a < b ? -1 : 1))) {
    const path = folder === "" ? name : `${folder}/${name}`;
    const stat = await lstat(join(root, path));
    const header = { name: path, mode: stat.mode & 0o7777, uid: 0, gid: 0, mtime: new Date(0) };
    if (stat.isDirectory()) {
      archive.entry({ ...header, type: "directory" });
      await addTree(archive, root, path);
    } else if (stat.isSymbolicLink()) {
      archive.entry({ ...header, mode: 0o777, type: "symlink", linkname: await readlink(join(root, path)) });
    } else if (stat.isFile()) {
      await addFile(archive, { ...header, size: stat.size }, await readFile(join(root, path)));
    } else {
      throw new Error(`${path} is neither a file, a folder nor a link: it cannot be part of an image.`);
    }
  }
}

function addFile(
  archive: Pack,
  header: { readonly name: string; readonly size: number },
  bytes: Buffer,
): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
