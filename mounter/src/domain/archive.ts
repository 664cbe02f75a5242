import type { SnapshotManifest, SnapshotWarning } from "#api/snapshot-manifest.ts";

/** A layer as a manifest names it. */
export type LayerEntry = SnapshotManifest["layers"][number];
/** Digests and sizes of a layer: of what is stored, and of the archive within. */
export type LayerSums = Pick<LayerEntry, "digest" | "bytes" | "tarDigest" | "tarBytes">;

/** A packed layer on its way. */
export interface PackedStream {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Only after the last chunk. */
  sums(): LayerSums;
}

/** A layer that can be packed as often as needed; it is nowhere as a whole before it is stored. */
export interface LayerSource {
  readonly entries: number;
  open(signal: AbortSignal): PackedStream;
}

/** A container's changes, taken and not yet packed; holds its files open until it is disposed of. */
export interface TakenLayer extends LayerSource, AsyncDisposable {
  readonly tarBytes: number;
  /** Of the runsc that took it. */
  readonly runscVersion: string;
  readonly warnings: readonly SnapshotWarning[];
}

/** A layer as it is stored, bottom first in lists: packed with its sums, or a raw archive without any. */
export interface StoredLayer {
  readonly sums?: LayerSums;
  /** Its bytes, which may still be on their way: good only when the last one has come without a fault. */
  open(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** One archive that does what all layers do, complete and on the disk. */
export interface MergedTar {
  readonly path: string;
  readonly tarBytes: number;
  readonly tarDigest: string;
  readonly entries: number;
}

export interface MergeRequest {
  readonly layers: readonly StoredLayer[];
  /** A folder of staging for what lies unpacked meanwhile: as much as all layers unpacked. */
  readonly scratch: string;
  /** Where the archive appears, whole or not at all. */
  readonly target: string;
  /** Most bytes of each archive, unpacked. */
  readonly mostTarBytes: number;
  /** Resolves when all layers lie on this machine; absent = they do. */
  readonly untilWhole?: () => Promise<void>;
}

/** Layers as files: out of checkpoints, and together again. Refuses with an `ArchiveFault` what is not as it should be. */
export interface Archive {
  /** Opens what `runsc fscheckpoint` left in a folder; nothing is written. */
  take(
    folder: string,
    options: { readonly containerName: string; readonly mostTarBytes: number },
    signal: AbortSignal,
  ): Promise<TakenLayer>;
  /** Unpacks, checks and compares every layer with its sums, and writes one archive out of all. */
  merge(request: MergeRequest, signal: AbortSignal): Promise<MergedTar>;
}
