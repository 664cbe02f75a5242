import * as z from "zod";
import { LABEL_PATTERN } from "./name-patterns.ts";
import { SnapshotName } from "./scalars.ts";
import {
  Sha256Digest,
  SnapshotLayer,
  SnapshotManifest,
  SnapshotWarning,
  SnapshotWriteId,
} from "./snapshot-manifest.ts";
import { SnapshotProgress } from "./snapshot.ts";

/**
 * What a gateway asks of the mounter on its own machine, over a Unix socket that only it can open:
 * HTTP with JSON, each answer a stream of JSON lines whose last one is the end or a fault. A stream
 * that ends otherwise was cut, and says nothing. Who leaves a request ends what it asked for.
 */
export const MOUNTER_PATHS = {
  health: "/v1/health",
  find: "/v1/find",
  write: "/v1/write",
  publish: "/v1/publish",
  hold: "/v1/hold",
  remove: "/v1/remove",
  collect: "/v1/collect",
} as const;

const Namespace = z.string().min(1).max(63).regex(LABEL_PATTERN);
const SizeBytes = z.int().min(0);
const Path = z.string().regex(/^\//).max(4096);
const Place = { namespace: Namespace, name: SnapshotName };

/** An archive without a manifest, as other programs write it. */
export const RawLayer = z.strictObject({
  key: z.string().min(1).max(1024),
  version: z.string().min(1).max(1024),
  bytes: SizeBytes,
});

export const FindRequest = z.strictObject(Place);

/** What a name means now. `unreadable` = something lies there that cannot be used, and why. */
export const FindAnswer = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("manifest"), manifest: SnapshotManifest }),
  z.strictObject({ kind: z.literal("raw"), layer: RawLayer }),
  z.strictObject({ kind: z.literal("absent") }),
  z.strictObject({ kind: z.literal("unreadable"), fault: z.string() }),
]);

/** What a container stood on besides its image: layers of the store, bottom first, or one archive without a manifest. */
export const WriteGround = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("layers"), layers: z.array(SnapshotLayer).max(64) }),
  z.strictObject({ kind: z.literal("raw"), layer: RawLayer }),
]);

/** Makes a snapshot of a checkpoint. Repeating it with the same `writeId` finds what is done already. */
export const WriteRequest = z.strictObject({
  /** Folder of the checkpoint's files; it stays the caller's. */
  folder: Path,
  /** The container's name within the checkpoint. */
  checkpointName: z.string().min(1).max(253),
  facts: SnapshotManifest.omit({ formatVersion: true, layers: true, runtime: true, warnings: true }),
  ground: WriteGround,
  mostTarBytes: SizeBytes,
  warnings: z.array(SnapshotWarning).max(8),
});

/** Comes after the line `asked`, which says that all but the manifest is in the store, and waits for a `PublishRequest`. */
export const WriteAnswer = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("published"), key: z.string(), manifest: SnapshotManifest }),
  /** A newer write of the name stands, and stays. */
  z.strictObject({ kind: z.literal("superseded"), writeId: SnapshotWriteId }),
]);

/** Lets the write of this id go on; no manifest is sent after `untilMs`, milliseconds since the Unix epoch. */
export const PublishRequest = z.strictObject({ writeId: SnapshotWriteId, untilMs: SizeBytes });
/** False = there is no such write that waits. */
export const PublishAnswer = z.strictObject({ allowed: z.boolean() });

/** Brings a layer to this machine; it stays there as long as its request stays open. */
export const HoldRequest = z.strictObject({
  namespace: Namespace,
  layer: z.union([SnapshotLayer, RawLayer]),
  /** It is read once, from its beginning to its end, as it comes: then it need not lie on the disk. @default false */
  isReadOnce: z.boolean().optional(),
});
/** The archive, unpacked and compared with its digest; what is read once may be a named pipe. */
export const HoldAnswer = z.strictObject({ path: Path, tarDigest: Sha256Digest, tarBytes: SizeBytes });

/** Removes what a name means, if this very write made it. */
export const RemoveRequest = z.strictObject({ ...Place, writeId: SnapshotWriteId });
export const RemoveAnswer = z.strictObject({ removed: z.enum(["removed", "absent", "other"]) });

/**
 * Removes what no manifest names. `inUse`: keys of layers that sandboxes stand on; those stay. `unreadable`:
 * manifests that do not tell what they name, for which older layers stay.
 */
export const CollectRequest = z.strictObject({
  namespace: Namespace,
  inUse: z.array(z.string().max(1024)).max(100_000),
});
export const CollectAnswer = z.strictObject({
  removedLayers: z.int().min(0),
  removedBytes: SizeBytes,
  abortedUploads: z.int().min(0),
  unreadable: z.array(z.strictObject({ key: z.string(), fault: z.string() })),
});

export const HealthRequest = z.strictObject({});
/** The store by its URL, without settings. */
export const HealthAnswer = z.strictObject({ store: z.string() });

/**
 * Why something was not done. `code` is what a caller acts on; `reason` and `message` are what a
 * record of a snapshot says. `unsure` = it may stand or not: only the store tells.
 */
export const MounterFault = z.strictObject({
  code: z.enum(["absent", "damaged", "gone", "full", "unsure", "denied", "unavailable", "other"]),
  reason: z.enum(["DumpFailed", "DiskFull", "TooLarge", "ArchiveInvalid", "StoreDenied", "StoreFailed"]),
  message: z.string(),
});

/** One line of an answer. */
export const MounterLine = z.discriminatedUnion("line", [
  z.strictObject({ line: z.literal("progress"), progress: SnapshotProgress }),
  z.strictObject({ line: z.literal("asked") }),
  /** Of a hold: where its archive is being written, from its beginning on. It is good only when the end has come. */
  z.strictObject({ line: z.literal("placed"), archive: HoldAnswer }),
  z.strictObject({ line: z.literal("end"), answer: z.unknown() }),
  z.strictObject({ line: z.literal("fault"), fault: MounterFault }),
]);

/** Each request with its answer. */
export const MOUNTER_CALLS = {
  health: { request: HealthRequest, answer: HealthAnswer },
  find: { request: FindRequest, answer: FindAnswer },
  write: { request: WriteRequest, answer: WriteAnswer },
  publish: { request: PublishRequest, answer: PublishAnswer },
  hold: { request: HoldRequest, answer: HoldAnswer },
  remove: { request: RemoveRequest, answer: RemoveAnswer },
  collect: { request: CollectRequest, answer: CollectAnswer },
} as const;

export type MounterVerb = keyof typeof MOUNTER_CALLS;
export type MounterAsk<V extends MounterVerb> = z.infer<(typeof MOUNTER_CALLS)[V]["request"]>;
export type MounterAnswer<V extends MounterVerb> = z.infer<(typeof MOUNTER_CALLS)[V]["answer"]>;
export type MounterFault = z.infer<typeof MounterFault>;
export type MounterLine = z.infer<typeof MounterLine>;
export type WriteGround = z.infer<typeof WriteGround>;
export type RawLayer = z.infer<typeof RawLayer>;
