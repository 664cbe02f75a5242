import * as z from "zod";
import { LABEL_PATTERN } from "./name-patterns.ts";
import { ContainerName, SandboxId, SnapshotName, Timestamp } from "./scalars.ts";

/**
 * Version of the form of manifests and layers that this release writes, and the only one that it reads. In
 * every version a manifest is JSON and names all its layers as `layers[].key`: a release that cannot read
 * the rest of it keeps these from being removed.
 */
export const SNAPSHOT_FORMAT_VERSION = 1;

/** SHA-256 as `sha256:` and 64 hex digits. */
export const Sha256Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
/** Names one attempt to write a snapshot; no dots, so that it can be told from the name it stands behind in a key. */
export const SnapshotWriteId = z.string().min(1).max(63).regex(LABEL_PATTERN);

const SizeBytes = z.int().min(0);

/** The image whose changes a snapshot holds. */
export const SnapshotBase = z
  .strictObject({
    image: z.string().min(1).max(4096).describe("The reference by which the sandbox was made."),
    digest: Sha256Digest.exactOptional().describe("Of the image that the container ran; absent when it is not known."),
  })
  .meta({ id: "SnapshotBase" });

/** Something that the snapshot does not hold as it was in the container. */
export const SnapshotWarning = z
  .strictObject({
    code: z
      .string()
      .regex(/^[A-Z][A-Za-z0-9]{0,62}$/)
      .describe("A CamelCase code."),
    message: z.string().min(1).max(1024).describe("The same in one sentence."),
    count: z.int().min(1).describe("How many paths it concerns."),
    examples: z.array(z.string().max(4096)).max(10).describe("Some of these paths."),
  })
  .meta({ id: "SnapshotWarning" });

/** One archive of changes; `digest` and `bytes` are of what is stored, the rest of the archive within. */
export const SnapshotLayer = z.strictObject({
  key: z.string().min(1).max(1024),
  digest: Sha256Digest,
  bytes: SizeBytes,
  tarDigest: Sha256Digest,
  tarBytes: SizeBytes,
  entries: SizeBytes,
});

/**
 * What lies in the store under a snapshot's name, written last: with it the snapshot is complete,
 * without it there is none. Layers are listed from the bottom; the last one is what this snapshot added.
 */
export const SnapshotManifest = z.strictObject({
  formatVersion: z.literal(SNAPSHOT_FORMAT_VERSION),
  writeId: SnapshotWriteId,
  namespace: z.string().min(1).max(63).regex(LABEL_PATTERN),
  name: SnapshotName,
  createdAt: Timestamp,
  sandboxName: SandboxId,
  containerName: ContainerName,
  base: SnapshotBase,
  runtime: z.strictObject({ name: z.literal("runsc"), version: z.string().min(1).max(256) }),
  layers: z.array(SnapshotLayer).min(1).max(64),
  warnings: z.array(SnapshotWarning).max(32),
});

export type SnapshotBase = z.infer<typeof SnapshotBase>;
export type SnapshotWarning = z.infer<typeof SnapshotWarning>;
export type SnapshotManifest = z.infer<typeof SnapshotManifest>;
