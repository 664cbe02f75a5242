import { createHash } from "node:crypto";
import { open, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import type { ImageConfig, LayeredOrigin } from "#runtime/backend/local/image.ts";
import type { ReferenceMeaning } from "#runtime/backend/local/image-shelf.ts";

/** Raised when the way trees are prepared changes: older images are pulled or built anew. */
const FORMAT = 2;

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const ImageRecord = z.object({
  format: z.literal(FORMAT),
  digest: Digest,
  sizeBytes: z.int().min(1),
  config: z.object({
    entrypoint: z.array(z.string()),
    cmd: z.array(z.string()),
    env: z.record(z.string(), z.string()),
    workingDir: z.string(),
    user: z.object({ uid: z.int(), gid: z.int(), additionalGids: z.array(z.int()), home: z.string() }),
  }),
  layered: z.object({ base: Digest, tarDigests: z.array(Digest) }).optional(),
  upperBytes: z.int().min(1).optional(),
});
const ReferenceRecord = z.object({ reference: z.string(), digest: Digest, pulledDigest: Digest.optional() });

/** What lies on disk beside an EROFS file; the file counts only when this record exists. */
export type ImageRecord = z.infer<typeof ImageRecord>;

export interface StoredRecord extends ImageRecord {
  /** Time of last use, from the record's modification time. */
  readonly lastUsedAtMs: number;
}

/** What the directory holds after the litter of interrupted work is gone. */
export interface ImageDirectory {
  readonly images: readonly StoredRecord[];
  readonly references: ReadonlyMap<string, ReferenceMeaning>;
}

/** The places in an image directory. */
export function imagePaths(dir: string): { staging: string; references: string; emptyRoot: string } {
  return { staging: join(dir, "staging"), references: join(dir, "references"), emptyRoot: join(dir, "empty-root") };
}

export function erofsPath(dir: string, digest: string): string {
  return join(dir, `${hex(digest)}.erofs`);
}

export function upperTarPath(dir: string, digest: string): string {
  return join(dir, `${hex(digest)}.upper.tar`);
}

export function recordPath(dir: string, digest: string): string {
  return join(dir, `${hex(digest)}.json`);
}

export interface FinishedImage {
  readonly digest: string;
  readonly config: ImageConfig;
  readonly layered?: LayeredOrigin;
  /** Path of the upper archive, if there is one. */
  readonly upperTar?: string;
}

/** Moves a finished EROFS file into place. A crash at any point leaves the image whole or absent. */
export async function installImage(dir: string, file: string, image: FinishedImage): Promise<ImageRecord> {
  const { digest, config, layered, upperTar } = image;
  await syncPath(file);
  const { size: sizeBytes } = await stat(file);
  const upper = upperTar === undefined ? {} : { upperBytes: (await stat(upperTar)).size };
  if (upperTar !== undefined) {
    await syncPath(upperTar);
    await rename(upperTar, upperTarPath(dir, digest));
  }
  await rename(file, erofsPath(dir, digest));
  const record = ImageRecord.parse({ format: FORMAT, digest, sizeBytes, config, layered, ...upper });
  await writeDurably(recordPath(dir, image.digest), JSON.stringify(record));
  return record;
}

/** Makes a full reference mean an image. */
export async function installReference(dir: string, reference: string, meaning: ReferenceMeaning): Promise<void> {
  const { digest, pulledDigest } = meaning;
  await mkdir(imagePaths(dir).references, { recursive: true });
  await writeDurably(referencePath(dir, reference), JSON.stringify({ reference, digest, pulledDigest }));
}

/** The image a reference means on disk now; undefined when it has none. */
export async function readReference(dir: string, reference: string): Promise<StoredRecord | undefined> {
  const parsed = ReferenceRecord.safeParse(await readJson(referencePath(dir, reference)));
  if (!parsed.success || parsed.data.reference !== reference) return undefined;
  return readRecord(dir, parsed.data.digest);
}

export async function removeReference(dir: string, reference: string): Promise<void> {
  await rm(referencePath(dir, reference), { force: true });
}

/** Removes an image; the record goes first, so that no crash leaves a record without its file. */
export async function removeImage(dir: string, digest: string): Promise<void> {
  await rm(recordPath(dir, digest), { force: true });
  await rm(erofsPath(dir, digest), { force: true });
  await rm(upperTarPath(dir, digest), { force: true });
}

/** Reads the directory and removes everything that is not part of a whole image. */
export async function recoverImageDirectory(dir: string): Promise<ImageDirectory> {
  const paths = imagePaths(dir);
  await rm(paths.staging, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  await mkdir(paths.staging, { recursive: true, mode: 0o700 });
  await mkdir(paths.references, { recursive: true });
  await mkdir(paths.emptyRoot, { recursive: true, mode: 0o555 });
  const images: StoredRecord[] = [];
  for (const name of await readdir(dir)) {
    const digest = /^([0-9a-f]{64})\.json$/.exec(name)?.[1];
    const record = digest === undefined ? undefined : await readRecord(dir, `sha256:${digest}`);
    if (record !== undefined) images.push(record);
  }
  const kept = new Set(
    images.flatMap(({ digest }) => [`${hex(digest)}.json`, `${hex(digest)}.erofs`, `${hex(digest)}.upper.tar`]),
  );
  for (const name of await readdir(dir)) {
    if (/^[0-9a-f]{64}\.(json|erofs|upper\.tar|json\.part)$/.test(name) && !kept.has(name))
      await rm(join(dir, name), { force: true });
  }
  return { images, references: await recoverReferences(dir, new Set(images.map(({ digest }) => digest))) };
}

/** SHA-256 of a file as a digest. */
export async function digestFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: 1_048_576 }))
      hash.update(chunk as Buffer);
  } finally {
    await file.close();
  }
  return `sha256:${hash.digest("hex")}`;
}

/** Replaces a small file so that a crash leaves the old or the new text. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const part = `${path}.part`;
  const file = await open(part, "w", 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, path);
  await syncPath(dirname(path));
}

async function recoverReferences(dir: string, digests: ReadonlySet<string>): Promise<Map<string, ReferenceMeaning>> {
  const references = new Map<string, ReferenceMeaning>();
  const folder = imagePaths(dir).references;
  for (const name of await readdir(folder)) {
    const parsed = ReferenceRecord.safeParse(await readJson(join(folder, name)));
    const usable =
      parsed.success &&
      digests.has(parsed.data.digest) &&
      referencePath(dir, parsed.data.reference) === join(folder, name);
    if (usable) references.set(parsed.data.reference, parsed.data);
    else await rm(join(folder, name), { force: true });
  }
  return references;
}

async function readRecord(dir: string, digest: string): Promise<StoredRecord | undefined> {
  const parsed = ImageRecord.safeParse(await readJson(recordPath(dir, digest)));
  if (!parsed.success || parsed.data.digest !== digest) return undefined;
  const file = await stat(erofsPath(dir, digest)).catch(() => undefined);
  if (file === undefined || file.size !== parsed.data.sizeBytes) return undefined;
  const upper = await stat(upperTarPath(dir, digest)).catch(() => undefined);
  if (upper?.size !== parsed.data.upperBytes) return undefined;
  const { mtimeMs } = await stat(recordPath(dir, digest));
  return { ...parsed.data, lastUsedAtMs: mtimeMs };
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Waits until a file is on the disk. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function referencePath(dir: string, reference: string): string {
  return join(imagePaths(dir).references, `${createHash("sha256").update(reference).digest("hex")}.json`);
}

function hex(digest: string): string {
  return digest.slice("sha256:".length);
}
