import type { Clock } from "#core/clock.ts";
import { usageOf, type NamespaceUsage } from "../../domain/eviction.ts";
import { createFlight, type Flight } from "../../domain/flight.ts";
import { createQuota } from "../../domain/quota.ts";
import { createRecent, type Recent } from "../../domain/recent.ts";
import { SnapshotFault } from "../../domain/snapshot-fault.ts";
import { createSpareDisk, type SpareDisk } from "../../domain/spare-disk.ts";
import type { ObjectStore, StoreCall } from "../../storage/port.ts";
import { readChunks } from "../read-chunks.ts";
import { hashFile, noteUse, recoverCache, statFile } from "./cache-files.ts";
import { createComingFile, type ComingFile } from "./coming-file.ts";
import { createCacheIndex, type CacheEntry } from "./cache-index.ts";
import { isNamespace, layerPaths } from "./cache-paths.ts";
import { createCacheRoom } from "./cache-room.ts";
import {
  downloadId,
  downloadLayer,
  type DownloadCall,
  type DownloadPorts,
  type WantedLayer,
} from "./download-layer.ts";

export interface LayerCacheConfig {
  /** Absolute. */
  readonly dir: string;
  /** Most bytes of all namespaces together. */
  readonly maxBytes: number;
  /** Free disk that the cache leaves in any case. */
  readonly reserveBytes: number;
  /** @default 8 MiB */
  readonly partBytes?: number;
  /** Parts at once, of all downloads together and of one. */
  readonly lanes?: { readonly all: number; readonly each: number };
  /** Objects without a digest of their own that are found here without being brought again. @default 4096 */
  readonly mostFound?: number;
}

export interface LayerCachePorts {
  readonly store: ObjectStore;
  readonly clock: Clock;
  /** The cache gives up for others what nobody holds, and has them give up theirs. */
  readonly spare?: SpareDisk;
}

/** A layer on this node's disk, as it is stored; it stays until it is released. */
export interface HeldLayer {
  readonly path: string;
  readonly digest: string;
  readonly bytes: number;
  release(): void;
}

export interface HoldCall extends StoreCall {
  readonly onProgress?: (doneBytes: number) => void;
}

export interface CacheUsage {
  /** All that lies there, with what interrupted downloads left. */
  readonly bytes: number;
  /** Set aside for downloads under way. */
  readonly promisedBytes: number;
  readonly namespaces: ReadonlyMap<string, NamespaceUsage>;
}

export interface LayerCache {
  /**
   * A layer, downloaded when it is not there. However many ask for it, it comes once, and who leaves ends
   * it for nobody else. Throws `SnapshotFault`: `full` when there is no room, `damaged` when its bytes
   * are not those of its digest.
   */
  hold(namespace: string, layer: WantedLayer, call: HoldCall): Promise<HeldLayer>;
  /**
   * The bytes of a layer in order, as they come when it is not there. They are good only when the last one
   * has come without a fault, of which there are the same as for `hold`: keep them apart until then. Each
   * chunk is good until the next but one is asked for.
   */
  read(namespace: string, layer: WantedLayer, call: HoldCall): AsyncGenerator<Uint8Array, void, undefined>;
  usage(): CacheUsage;
  /**
   * Reads a layer that lies here once more, for who found that its bytes are wrong. False = they are not
   * those of its digest any more, and go: whoever asks again gets it anew.
   */
  recheck(namespace: string, layer: WantedLayer, call: StoreCall): Promise<boolean>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

const PART_BYTES = 8 << 20;
const LANES = { all: 8, each: 4 };
const MOST_FOUND = 4096;
const MOST_ROUNDS = 4;
const TOUCH_MS = 60_000;

/** Opens the cache's folder, takes what is whole in it, and removes what is not. */
export async function createLayerCache(config: LayerCacheConfig, ports: LayerCachePorts): Promise<LayerCache> {
  const { lanes = LANES, partBytes = PART_BYTES, mostFound = MOST_FOUND, dir } = config;
  const found = await recoverCache(dir);
  const index = createCacheIndex(dir);
  for (const file of found.layers) index.add(file, false);
  for (const file of found.partials) index.add(file, true);
  const { spare = createSpareDisk() } = ports;
  spare.add({
    get spareBytes() {
      return index.spareBytes;
    },
    giveUp: async (bytes) => void (await index.evict(bytes)),
  });
  const room = createCacheRoom(index, config, spare);
  await room.shrink();
  const downloads = { ...ports, index, room, lanes: createQuota(lanes.all), config: { dir, partBytes, lanes } };
  return new Cache(downloads, createRecent(mostFound));
}

/** A download, for those who wait for its end and those who read what it brings. */
interface Bringing {
  readonly flight: Flight<string, number>;
  readonly coming: ComingFile;
}

class Cache implements LayerCache {
  readonly #ports: DownloadPorts;
  readonly #flights = new Map<string, Bringing>();
  /** Digests of what has none of its own in the store. */
  readonly #found: Recent<string>;
  readonly #closed = new AbortController();

  constructor(ports: DownloadPorts, found: Recent<string>) {
    this.#ports = ports;
    this.#found = found;
  }

  async hold(namespace: string, layer: WantedLayer, call: HoldCall): Promise<HeldLayer> {
    if (!isNamespace(namespace)) throw new RangeError(`"${namespace}" is no namespace`);
    const name = `${namespace}/${downloadId(layer)}`;
    for (let round = 0; round < MOST_ROUNDS;) {
      await this.#atRest(name);
      call.signal.throwIfAborted();
      const digest = layer.digest ?? this.#found.get(name);
      const held = digest === undefined ? undefined : await this.#holdKnown(namespace, digest, layer.bytes);
      if (held !== undefined) return held;
      const brought = await this.#bring(name, { namespace, layer })?.flight.join(call.signal, call.onProgress);
      // It was just given up by others.
      if (brought === undefined) continue;
      round += 1;
      if (layer.digest === undefined) this.#found.set(name, brought);
    }
    throw new SnapshotFault("full", `${layer.key} cannot be kept: it is removed as soon as it is there.`);
  }

  async *read(namespace: string, layer: WantedLayer, call: HoldCall): AsyncGenerator<Uint8Array, void, undefined> {
    if (!isNamespace(namespace)) throw new RangeError(`"${namespace}" is no namespace`);
    const name = `${namespace}/${downloadId(layer)}`;
    await this.#atRest(name);
    const isKnown = this.#ports.index.get(namespace, (layer.digest ?? this.#found.get(name) ?? "").slice(7), false);
    if (isKnown === undefined && (yield* this.#readComing(name, { namespace, layer }, call))) return;
    const held = await this.hold(namespace, layer, call);
    try {
      yield* readChunks(held.path, call.signal);
    } finally {
      held.release();
    }
  }

  usage(): CacheUsage {
    const { index, room } = this.#ports;
    const namespaces = usageOf(index.entries().filter(({ isPartial }) => !isPartial));
    return { bytes: index.bytes, promisedBytes: room.promisedBytes, namespaces };
  }

  async recheck(namespace: string, layer: WantedLayer, { signal }: StoreCall): Promise<boolean> {
    const { index, config } = this.#ports;
    const digest = layer.digest ?? this.#found.get(`${namespace}/${downloadId(layer)}`) ?? "";
    const entry = index.get(namespace, digest.slice("sha256:".length), false);
    if (entry === undefined) return false;
    const { id } = entry;
    const found = await hashFile(layerPaths(config.dir, namespace, id).file, signal).catch(() => undefined);
    signal.throwIfAborted();
    if (found === id) return true;
    // It may have been evicted while it was read.
    if (index.get(namespace, id, false) === entry) await index.remove(entry);
    return false;
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error("The cache is closed"));
    await Promise.all([...this.#flights.values()].map(({ flight }) => flight.ended));
  }

  async #holdKnown(namespace: string, digest: string, bytes: number): Promise<HeldLayer | undefined> {
    const { index, config } = this.#ports;
    const id = digest.slice("sha256:".length);
    const entry = index.get(namespace, id, false);
    if (entry === undefined) return undefined;
    const { file } = layerPaths(config.dir, namespace, id);
    // Held before anything is awaited, so that nobody evicts it meanwhile.
    const held = this.#held(entry, file);
    const size = (await statFile(file))?.size;
    if (size === entry.bytes && size === bytes) return held;
    held.release();
    // Its digest was right: then it is the manifest that says another size.
    if (size === entry.bytes)
      throw new SnapshotFault("damaged", `What has the digest ${digest} has ${size} bytes, not ${bytes}.`);
    await index.remove(entry);
    return undefined;
  }

  #held(entry: CacheEntry, path: string): HeldLayer {
    let isHeld = true;
    entry.pins += 1;
    this.#touch(entry, path);
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      entry.pins -= 1;
      this.#touch(entry, path);
    };
    return { path, digest: `sha256:${entry.id}`, bytes: entry.bytes, release };
  }

  #touch(entry: CacheEntry, path: string): void {
    const nowMs = this.#ports.clock.now();
    entry.lastUsedAtMs = nowMs;
    if (nowMs - entry.notedAtMs < TOUCH_MS) return;
    entry.notedAtMs = nowMs;
    void noteUse(path, nowMs);
  }

  /** Reads a download as it comes; false when that has nothing to show before its end. */
  async *#readComing(
    name: string,
    download: { namespace: string; layer: WantedLayer },
    call: HoldCall,
  ): AsyncGenerator<Uint8Array, boolean, undefined> {
    const leaving = new AbortController();
    const signal = AbortSignal.any([call.signal, leaving.signal]);
    call.signal.throwIfAborted();
    const bringing = this.#bring(name, download);
    if (bringing === undefined) return false;
    const { flight, coming } = bringing;
    flight.join(signal, call.onProgress).catch(() => undefined);
    try {
      await coming.ready(signal);
      if (!coming.isBegun) return false;
      yield* coming.read(signal);
      return true;
    } finally {
      leaving.abort(LEFT);
    }
  }

  /** One download for all who wait for it; undefined while one that was given up comes to rest. */
  #bring(name: string, download: { namespace: string; layer: WantedLayer }): Bringing | undefined {
    const known = this.#flights.get(name);
    if (known !== undefined) return known.flight.isLive ? known : undefined;
    this.#closed.signal.throwIfAborted();
    const coming = createComingFile();
    const flight = createFlight<string, number>((ending, onBytes) => {
      const signal = AbortSignal.any([ending, this.#closed.signal]);
      return this.#download(download, { signal, onBytes, coming });
    });
    const bringing = { flight, coming };
    this.#flights.set(name, bringing);
    void flight.ended.then(() => this.#flights.get(name) === bringing && this.#flights.delete(name));
    return bringing;
  }

  /** A download that nobody waits for any more comes to rest: it may have brought the layer all the same. */
  async #atRest(name: string): Promise<void> {
    for (let known = this.#flights.get(name); known?.flight.isLive === false; known = this.#flights.get(name)) {
      await known.flight.ended;
      if (this.#flights.get(name) === known) this.#flights.delete(name);
    }
  }

  async #download(download: { namespace: string; layer: WantedLayer }, call: DownloadCall): Promise<string> {
    const { coming } = call;
    try {
      const digest = await downloadLayer(this.#ports, download, call);
      coming.finish();
      return digest;
    } catch (error) {
      coming.fail(error);
      throw error;
    } finally {
      await coming.close();
    }
  }
}

const LEFT = "nobody reads it any more";
