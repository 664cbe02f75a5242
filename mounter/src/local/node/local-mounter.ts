import type { MounterAnswer, MounterAsk, MounterVerb, RawLayer } from "#api/mounter-channel.ts";
import type { SnapshotProgress } from "#api/snapshot.ts";
import type { Log } from "#core/log.ts";
import type { LayerEntry } from "../../domain/archive.ts";
import { isSnapshotFault } from "../../domain/snapshot-fault.ts";
import type { LayerCache } from "../../node/cache/layer-cache.ts";
import { COLLECT_PATIENCE, collectSnapshots } from "../../node/snapshot/collect-snapshots.ts";
import { findSnapshot } from "../../node/snapshot/find-snapshot.ts";
import type { PublishCall, Published } from "../../node/snapshot/publish-snapshot.ts";
import { removeSnapshot } from "../../node/snapshot/remove-snapshot.ts";
import { writeCheckpoint } from "../../node/snapshot/write-checkpoint.ts";
import { createPublishGates } from "../publish-gates.ts";
import { holdTar, type HoldPorts } from "./hold-tar.ts";
import { writeWhole, type GroundLayer, type WriteWholePorts } from "./write-whole.ts";

/** Most layers that a new one is put upon: each costs a reader a request and an unpacked archive. */
const MOST_BELOW = 7;

export interface LocalMounterPorts extends WriteWholePorts, HoldPorts {
  readonly cache: Pick<LayerCache, "hold" | "read" | "recheck">;
  readonly log: Log;
}

export interface MounterCall {
  readonly signal: AbortSignal;
  onProgress(progress: SnapshotProgress): void;
  /** All but the manifest is in the store. */
  onAsked(): void;
  /** The archive of a hold is being written there: it may be read as it grows. */
  onPlaced(archive: MounterAnswer<"hold">): void;
  /** What was answered may be used as long as this lasts; it never rejects. */
  readonly left: Promise<void>;
}

type Work<V extends MounterVerb> = (ask: MounterAsk<V>, call: MounterCall) => Promise<MounterAnswer<V>>;

/** What the gateway of this machine can ask for. */
export type LocalMounter = { readonly [V in MounterVerb]: Work<V> };

export function createLocalMounter(ports: LocalMounterPorts): LocalMounter {
  const { store, log } = ports;
  const gates = createPublishGates();

  async function write(ask: MounterAsk<"write">, call: MounterCall): Promise<MounterAnswer<"write">> {
    const { signal, onProgress } = call;
    const beforePublish: NonNullable<PublishCall["beforePublish"]> = async (until) => {
      const allowed = gates.wait(ask.facts.writeId, until);
      call.onAsked();
      return { untilMs: await allowed };
    };
    const published = await writeAsItFits(ask, { signal, onProgress, beforePublish });
    if (published.kind === "superseded") return { kind: "superseded", writeId: published.by.writeId };
    const { key, manifest } = published;
    return { kind: "published", key, manifest };
  }

  async function writeAsItFits({ ground, ...checkpoint }: MounterAsk<"write">, call: PublishCall): Promise<Published> {
    if (ground.kind === "raw") return writeWhole(ports, { ...checkpoint, ground: [ofRaw(ground.layer)] }, call);
    const whole = (): Promise<Published> =>
      writeWhole(ports, { ...checkpoint, ground: ground.layers.map(ofLayer) }, call);
    if (ground.layers.length > MOST_BELOW) return whole();
    try {
      return await writeCheckpoint(ports, { ...checkpoint, below: ground.layers }, call);
    } catch (error) {
      if (!isSnapshotFault(error, "gone")) throw error;
      log.warn("Layers below a snapshot are no longer kept, writing it as a whole", { error });
      return whole();
    }
  }

  async function find(place: MounterAsk<"find">, { signal }: MounterCall): Promise<MounterAnswer<"find">> {
    try {
      const found = await findSnapshot(store, place, { signal });
      if (found.kind === "manifest") return { kind: "manifest", manifest: found.manifest };
      const { key, sizeBytes } = found.object;
      return { kind: "raw", layer: { key, version: found.version, bytes: sizeBytes } };
    } catch (error) {
      if (isSnapshotFault(error, "absent")) return { kind: "absent" };
      if (isSnapshotFault(error, "damaged")) return { kind: "unreadable", fault: error.message };
      throw error;
    }
  }

  async function hold(ask: MounterAsk<"hold">, call: MounterCall): Promise<MounterAnswer<"hold">> {
    const onProgress = (bytesDone: number): void =>
      call.onProgress({ phase: "Uploading", bytesDone, bytesTotal: ask.layer.bytes });
    const { signal, onPlaced } = call;
    const held = await holdTar(ports, ask, { signal, onProgress, onPlaced });
    void call.left
      .then(() => held.release())
      .catch((error: unknown) => log.error("A layer's place was not removed", { error }));
    return held.answer;
  }

  async function collect({ namespace, inUse }: MounterAsk<"collect">, { signal }: MounterCall) {
    const options = { namespace, ...COLLECT_PATIENCE, inUse: new Set(inUse) };
    const { removedLayers, removedBytes, abortedUploads, unreadable } = await collectSnapshots(store, options, {
      signal,
    });
    return { removedLayers, removedBytes, abortedUploads, unreadable: unreadable.map((each) => ({ ...each })) };
  }

  return {
    write,
    find,
    hold,
    collect,
    health: async () => ({ store: store.name }),
    publish: async ({ writeId, untilMs }) => ({ allowed: gates.open(writeId, untilMs) }),
    remove: async (place, { signal }) => ({ removed: await removeSnapshot(store, place, { signal }) }),
  };
}

function ofLayer(entry: LayerEntry): GroundLayer {
  const { key, bytes, digest, tarDigest, tarBytes } = entry;
  return { key, bytes, digest, tarBytes, sums: { digest, bytes, tarDigest, tarBytes } };
}

function ofRaw({ key, version, bytes }: RawLayer): GroundLayer {
  return { key, version, bytes, tarBytes: bytes };
}
