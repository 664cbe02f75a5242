import type { SnapshotManifest, SnapshotWarning } from "#api/snapshot-manifest.ts";
import type { Dump } from "../../control/snapshot-work.ts";
import type { Archive, LayerEntry } from "../../domain/archive.ts";
import { publishSnapshot, type PublishCall, type Published, type PublishPorts } from "./publish-snapshot.ts";

export interface WriteCheckpointPorts extends PublishPorts {
  readonly archive: Pick<Archive, "take">;
}

/** A folder that `runsc fscheckpoint` has filled, and what it is. */
export interface CheckpointFiles {
  readonly folder: string;
  /** The container's name within the checkpoint. */
  readonly checkpointName: string;
  /** All of the manifest that the checkpoint itself does not say. */
  readonly facts: Omit<SnapshotManifest, "formatVersion" | "layers" | "runtime" | "warnings">;
  /** What the container stood on besides its image, bottom first: layers of this namespace that the store has. */
  readonly below: readonly LayerEntry[];
  /** Most bytes of the layer, unpacked. */
  readonly mostTarBytes: number;
  /** What is known to be missing in the checkpoint itself. */
  readonly warnings?: readonly SnapshotWarning[];
}

/** Makes a snapshot of a checkpoint: nothing lies on the disk besides, and the folder may go when this has ended. */
export async function writeCheckpoint(
  ports: WriteCheckpointPorts,
  { lost, ...checkpoint }: CheckpointFiles & { readonly lost?: Dump["warnings"] },
  call: PublishCall,
): Promise<Published> {
  const { folder, checkpointName, facts, below, mostTarBytes, warnings = [] } = checkpoint;
  call.onProgress?.({ phase: "Packing", bytesDone: 0 });
  const options = { containerName: checkpointName, mostTarBytes };
  await using layer = await ports.archive.take(folder, options, call.signal);
  const said = {
    ...facts,
    runtime: { name: "runsc" as const, version: layer.runscVersion },
    warnings: [...warnings, ...((await lost) ?? []), ...layer.warnings],
  };
  return await publishSnapshot(ports, { facts: said, below, layer }, call);
}
