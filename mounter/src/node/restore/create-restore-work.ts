import { createHash } from "node:crypto";
import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import type { FoundRestore, RestoreWork } from "../../control/restore-work.ts";
import type { Archive, MergeRequest, StoredLayer } from "../../domain/archive.ts";
import { createQuota, type GiveBack, type Quota } from "../../domain/quota.ts";
import { RestoreFault } from "../../domain/restore/restore-fault.ts";
import { isSnapshotFault, SnapshotFault } from "../../domain/snapshot-fault.ts";
import type { LayerCache } from "../cache/layer-cache.ts";
import type { Staging } from "../staging.ts";
import { fetchSnapshot, type BroughtSnapshot, type FetchPorts } from "../snapshot/fetch-snapshot.ts";
import { findSnapshot, type FoundSnapshot } from "../snapshot/find-snapshot.ts";
import { placeText, type SnapshotPlace } from "../snapshot/snapshot-place.ts";
import type { MakeCall, MergedTars, TarProgress } from "./merged-tars.ts";
import { restoreFault } from "./restore-reason.ts";
import type { RestoreFiles } from "./restore-files.ts";

export interface RestoreWorkPorts extends FetchPorts {
  readonly cache: Pick<LayerCache, "hold" | "read" | "recheck">;
  readonly archive: Pick<Archive, "merge">;
  /** On the file system of the archives. */
  readonly staging: Pick<Staging, "take" | "maxBytes">;
  readonly tars: MergedTars;
  readonly files: RestoreFiles;
  /** How many are unpacked at once. */
  readonly slots: Quota;
}

interface Found extends FoundRestore {
  readonly place: SnapshotPlace;
  readonly snapshot: FoundSnapshot;
}

/** Restores out of the store, onto the disk of this node. */
export function createRestoreWork(
  ports: RestoreWorkPorts,
  { mostTarBytes }: { readonly mostTarBytes: number },
): RestoreWork<Found> {
  const { store, cache, archive, staging, tars, files, slots } = ports;

  // What still comes never has all slots and all disk: a store that stalls holds up nothing that lies here already.
  const streams = createQuota(slots.total - 1);
  const streamBytes = createQuota(Math.floor(staging.maxBytes / 2));

  /** Lets it be unpacked while it comes where others keep enough, else as soon as it is here. */
  const enter = async (bytes: number, { untilWhole }: BroughtSnapshot, signal: AbortSignal): Promise<GiveBack> => {
    const taken = [streams.tryTake(1), streamBytes.tryTake(bytes), slots.tryTake(1)];
    const giveBack = (): void => taken.forEach((give) => give?.());
    if (taken.every((give) => give !== undefined)) return giveBack;
    giveBack();
    await untilWhole();
    return slots.take(1, signal);
  };

  const unpack = async (
    request: Pick<MergeRequest, "layers" | "target" | "untilWhole">,
    scratchBytes: number,
    signal: AbortSignal,
  ): Promise<number> => {
    const scratch = await staging.take(scratchBytes, { signal });
    try {
      return (await archive.merge({ ...request, scratch: scratch.dir, mostTarBytes }, signal)).tarBytes;
    } finally {
      await scratch.remove();
    }
  };

  /** Makes the archive of exactly what was found, while it comes. */
  const make = async (found: Found, path: string, call: MakeCall): Promise<number> => {
    const onProgress = (bytesDone: number, bytesTotal: number): void => call.onProgress({ bytesDone, bytesTotal });
    let tarBytes = 0;
    const meanwhile = async (brought: BroughtSnapshot, signal: AbortSignal): Promise<void> => {
      const { manifest, layers, untilWhole } = brought;
      if (digestsOf(manifest) !== digestsOf(found.manifest))
        throw new SnapshotFault("changing", `The snapshot ${placeText(found.place)} was replaced meanwhile.`);
      const unpackedBytes = mostBytesOf(found.snapshot);
      // All layers unpacked; of more than one also what they become together.
      const scratchBytes = layers.length > 1 ? 2 * unpackedBytes : unpackedBytes;
      const giveBack = await enter(scratchBytes, brought, signal);
      try {
        const stored = layers.map((layer, index): StoredLayer => {
          const sums = manifest?.layers[index];
          return {
            ...(sums && { sums }),
            open: (signal) => cache.read(found.place.namespace, layer, { signal }),
          };
        });
        tarBytes = await unpack({ layers: stored, target: path, untilWhole }, scratchBytes, signal);
      } finally {
        giveBack();
      }
    };
    const fetched = await fetchSnapshot(ports, found.place, { signal: call.signal, onProgress, meanwhile });
    fetched.release();
    return tarBytes;
  };

  return {
    async find(place, call) {
      try {
        const snapshot = await findSnapshot(store, place, call);
        const manifest = snapshot.kind === "manifest" ? snapshot.manifest : undefined;
        // What several layers become together shows only then.
        const isKnown = manifest === undefined || manifest.layers.length === 1;
        return {
          place,
          snapshot,
          ...(manifest === undefined ? {} : { manifest }),
          ...(isKnown ? { tarBytes: mostBytesOf(snapshot) } : {}),
        };
      } catch (error) {
        if (isSnapshotFault(error, "absent")) return undefined;
        throw error;
      }
    },
    async place(owner, containerName, found, { signal, onProgress }) {
      const { namespace } = owner;
      const bytes = mostBytesOf(found.snapshot);
      if (bytes > mostTarBytes) {
        const what = `The snapshot ${placeText(found.place)} has ${bytes} bytes unpacked`;
        throw new RestoreFault(`${what}, more than the ${mostTarBytes} that are restored here.`);
      }
      const request = {
        namespace,
        id: idOf(found.snapshot),
        bytes,
        make: (path: string, call: MakeCall) => make(found, path, call),
      };
      const tell = ({ bytesDone, bytesTotal }: TarProgress): void => onProgress?.(bytesDone, bytesTotal);
      const held = await tars.hold(request, { signal, onProgress: tell });
      try {
        await files.put(owner, containerName, held.path);
      } catch (error) {
        held.release();
        throw error;
      }
      return {
        tarBytes: held.tarBytes,
        async remove() {
          await files.remove(owner, containerName);
          held.release();
        },
      };
    },
    async placed(owner, containerName) {
      const tarBytes = await files.size(owner, containerName);
      return tarBytes === undefined ? undefined : { tarBytes, remove: () => files.remove(owner, containerName) };
    },
    sweep: (kept) => files.sweep(kept),
    fault: restoreFault,
  };
}

/** Most bytes of what is restored, unpacked. */
function mostBytesOf(snapshot: FoundSnapshot): number {
  if (snapshot.kind === "raw") return snapshot.object.sizeBytes;
  return snapshot.manifest.layers.reduce((sum, { tarBytes }) => sum + tarBytes, 0);
}

/** Stands for what is restored: equal layers in equal order become equal archives. */
function idOf(snapshot: FoundSnapshot): string {
  const what =
    snapshot.kind === "manifest"
      ? digestsOf(snapshot.manifest)
      : JSON.stringify([snapshot.object.key, snapshot.version]);
  return createHash("sha256").update(what).digest("hex");
}

function digestsOf(manifest: SnapshotManifest | undefined): string {
  return JSON.stringify(manifest?.layers.map(({ tarDigest }) => tarDigest) ?? []);
}
