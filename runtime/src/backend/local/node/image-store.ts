import { stat, statfs, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import type { Log } from "#core/log.ts";
import { ImageError } from "#runtime/backend/local/image-error.ts";
import { createFlight, type Flight } from "#runtime/backend/local/image-flight.ts";
import {
  formatImageReference,
  isBaseImage,
  parseImageReference,
  type ImageReference,
} from "#runtime/backend/local/image-reference.ts";
import {
  planEviction,
  referencesOf,
  totalBytes,
  type Shelf,
  type ShelfImage,
} from "#runtime/backend/local/image-shelf.ts";
import type {
  AcquireCall,
  ImageStore,
  ImageStoreConfig,
  PullProgress,
  LayerFile,
  RootLayer,
  StoredImage,
} from "#runtime/backend/local/image-store.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import { createTurnstile } from "#runtime/backend/local/image-turnstile.ts";
import type { Image, LayeredOrigin } from "#runtime/backend/local/image.ts";
import * as files from "#runtime/backend/local/node/image-files.ts";
import { pullImage, type PullConfig } from "#runtime/backend/local/node/image-pull.ts";
import { resolveImage, type ResolvedImage } from "#runtime/backend/local/node/image-registry.ts";
import { digestOfRoot, makeLayeredRoot } from "#runtime/backend/local/node/root/layered-root.ts";

export type { ImageStore, ImageStoreConfig };

export interface ImageStoreDeps {
  readonly log: Log;
  readonly clock: Clock;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
const TOUCH_INTERVAL_MS = 60_000;
const MAX_ATTEMPTS = 3;

/** Opens the image directory, removes what an interrupted process left, and keeps its index in memory. */
export async function createImageStore(config: ImageStoreConfig, deps: ImageStoreDeps): Promise<ImageStore> {
  const { images, references } = await files.recoverImageDirectory(config.dir);
  const shelf: Shelf = {
    images: new Map(
      images.map((image) => [image.digest, { ...image, notedAtMs: image.lastUsedAtMs, holders: new Set<string>() }]),
    ),
    references: new Map(references),
  };
  const anonymous = join(config.dir, "anonymous.auth");
  if (config.authFile === undefined) await writeFile(anonymous, "{}", { mode: 0o600 });
  return new Store(config, pullConfig(config, anonymous), shelf, deps);
}

type PullFlight = Flight<string, PullProgress>;

class Store implements ImageStore {
  readonly #config: ImageStoreConfig;
  readonly #pull: PullConfig;
  readonly #shelf: Shelf;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #turnstile;
  readonly #rootTurnstile;
  readonly #streamTurnstile;
  readonly #byReference = new Map<string, PullFlight>();
  readonly #byDigest = new Map<string, PullFlight>();
  readonly #removals = new Map<string, Promise<void>>();
  readonly #background = new Set<Promise<unknown>>();
  readonly #closed = new AbortController();

  constructor(config: ImageStoreConfig, pull: PullConfig, shelf: Shelf, deps: ImageStoreDeps) {
    this.#config = config;
    this.#pull = pull;
    this.#shelf = shelf;
    this.#log = deps.log;
    this.#clock = deps.clock;
    this.#turnstile = createTurnstile(config.maxConcurrentPulls ?? 2);
    // A root takes as long as its layers come: pulls do not wait for that, and one whose layers are here does not either.
    this.#rootTurnstile = createTurnstile(config.maxConcurrentPulls ?? 2);
    this.#streamTurnstile = createTurnstile((config.maxConcurrentPulls ?? 2) - 1);
  }

  async acquire(text: string, call: AcquireCall): Promise<Image> {
    const reference = parseImageReference(text);
    const key = formatImageReference(reference);
    const ready = this.#isToBeAsked(key, reference) ? undefined : this.#holdMeant(key, call.holder);
    if (ready !== undefined) return ready;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      if (isBaseImage(reference)) await this.#findLocal(key);
      else await this.#fetch(key, reference, call);
      const image = this.#holdMeant(key, call.holder);
      if (image !== undefined) {
        this.#inBackground(this.evict());
        return image;
      }
    }
    throw new ImageError("failed", `Image ${key} cannot be kept: it was removed as soon as it was there.`);
  }

  async acquireLayered(base: Image, layers: readonly RootLayer[], call: AcquireCall): Promise<Image> {
    if (layers.length === 0) return base;
    const origin = { base: base.digest, tarDigests: layers.map(({ tarDigest }) => tarDigest) };
    const digest = digestOfRoot(origin);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const ready = this.hold(digest, call.holder);
      if (ready !== undefined) return ready;
      await this.#join(this.#byDigest, digest, call, (flight) =>
        this.#makeOfLayers(digest, { base, origin, layers }, flight),
      );
    }
    throw new ImageError("failed", "The root of a snapshot cannot be kept: it was removed as soon as it was there.");
  }

  hold(digest: string, holder: string): Image | undefined {
    const entry = this.#shelf.images.get(digest);
    if (entry === undefined) return undefined;
    entry.holders.add(holder);
    this.#touch(entry);
    const { config, sizeBytes, layered, upperBytes } = entry;
    const upperPath = files.upperTarPath(this.#config.dir, digest);
    return {
      digest,
      config,
      sizeBytes,
      ...(layered === undefined ? {} : { layered }),
      ...(upperBytes === undefined ? {} : { upperTar: { path: upperPath, bytes: upperBytes } }),
      erofsPath: files.erofsPath(this.#config.dir, digest),
      emptyRootDir: files.imagePaths(this.#config.dir).emptyRoot,
    };
  }

  releaseAll(holder: string): void {
    for (const entry of this.#shelf.images.values()) {
      if (entry.holders.delete(holder)) this.#touch(entry);
    }
    if (totalBytes(this.#shelf) > this.#config.maxBytes) this.#inBackground(this.evict());
  }

  list(): readonly StoredImage[] {
    return [...this.#shelf.images.values()].map(({ digest, sizeBytes, lastUsedAtMs, holders }) => ({
      digest,
      sizeBytes,
      lastUsedAtMs,
      references: referencesOf(this.#shelf, digest),
      holders: [...holders],
    }));
  }

  evict(): Promise<readonly string[]> {
    return this.#evictTo(this.#config.maxBytes);
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error("The image store is closing"));
    await Promise.allSettled([...this.#byReference.values(), ...this.#byDigest.values()].map((flight) => flight.ended));
    await Promise.allSettled(this.#background);
  }

  async #evictTo(maxBytes: number): Promise<readonly string[]> {
    const kept = new Set([...this.#shelf.references.keys()].filter((key) => isBaseImage(parseImageReference(key))));
    const doomed = planEviction(this.#shelf, maxBytes, kept);
    await Promise.all(doomed.map((image) => this.#remove(image)));
    return doomed.map(({ digest }) => digest);
  }

  #remove({ digest, sizeBytes }: ShelfImage): Promise<void> {
    const references = referencesOf(this.#shelf, digest);
    this.#shelf.images.delete(digest);
    for (const reference of references) this.#shelf.references.delete(reference);
    const removal = (async () => {
      await files.removeImage(this.#config.dir, digest);
      for (const reference of references) await files.removeReference(this.#config.dir, reference);
      this.#log.info("image removed", { digest, size_bytes: sizeBytes });
    })().finally(() => this.#removals.delete(digest));
    this.#removals.set(digest, removal);
    return removal;
  }

  async #findLocal(key: string): Promise<string> {
    const record = await files.readReference(this.#config.dir, key);
    if (record === undefined) {
      throw new ImageError(
        "not-found",
        `Image ${key} is not on this machine; images of that name are built by the set-up, not pulled.`,
      );
    }
    this.#shelve(record, key);
    return record.digest;
  }

  #isToBeAsked(key: string, reference: ImageReference): boolean {
    if (isBaseImage(reference)) return false;
    // A reference of an earlier release does not say what it means in the registry.
    return this.#config.pullPolicy === "Always" || this.#shelf.references.get(key)?.pulledDigest === undefined;
  }

  #holdMeant(key: string, holder: string): Image | undefined {
    const meaning = this.#shelf.references.get(key);
    const image = meaning === undefined ? undefined : this.hold(meaning.digest, holder);
    return image === undefined ? undefined : { ...image, pulledDigest: meaning?.pulledDigest ?? image.digest };
  }

  #fetch(key: string, reference: ImageReference, call: AcquireCall): Promise<string> {
    const allowed = this.#config.allowedRegistries;
    if (allowed !== undefined && !allowed.includes(reference.registry)) {
      throw new ImageError(
        "denied",
        `Image ${key} cannot be pulled: the registry ${reference.registry} is not among the allowed ones.`,
      );
    }
    return this.#join(this.#byReference, key, call, (flight) => this.#resolveAndPull(key, reference, flight));
  }

  async #resolveAndPull(key: string, reference: ImageReference, call: FlightCall): Promise<string> {
    call.onProgress({ phase: "resolve" });
    const image = await resolveImage(reference, this.#pull, call.signal);
    if (!this.#shelf.images.has(image.digest)) {
      await this.#join(this.#byDigest, image.digest, call, (flight) => this.#pullOnce(key, image, flight));
    }
    const { digest, pulledDigest } = image;
    await files.installReference(this.#config.dir, key, { digest, pulledDigest });
    if (this.#shelf.images.has(digest)) this.#shelf.references.set(key, { digest, pulledDigest });
    return image.digest;
  }

  async #pullOnce(key: string, image: ResolvedImage, call: FlightCall): Promise<string> {
    const leave = await this.#turnstile.enter(call.signal);
    try {
      await this.#removals.get(image.digest);
      await this.#makeRoom(image.layersBytes * 3 + this.#pull.reserveBytes);
      const startedAtMs = this.#clock.now();
      const record = await this.#pullInTime(key, image, call);
      this.#shelve(record, undefined);
      const fields = {
        image: key,
        digest: image.digest,
        size_bytes: record.sizeBytes,
        duration_ms: this.#clock.now() - startedAtMs,
      };
      this.#log.info("image pulled", fields);
      return image.digest;
    } finally {
      leave();
    }
  }

  async #makeOfLayers(digest: string, root: RootToMake, call: FlightCall): Promise<string> {
    // Only who has a place can read what comes while it comes.
    const place = this.#enterStreams();
    const use = (index: number) => ({ isReadOnce: place !== undefined && index === root.layers.length - 1 });
    const fetches = root.layers.map((layer, index) => layer.fetch(call.signal, use(index)));
    const brought = await Promise.allSettled(fetches);
    const files = brought.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    // Told where it is waited for, which may be later.
    for (const { coming } of files) coming?.whole.catch(() => undefined);
    try {
      for (const each of brought) if (each.status === "rejected") throw each.reason;
      const leave = place ?? (await this.#enterWhole(files, call.signal));
      try {
        return await this.#makeOfFiles(digest, { ...root, files }, call);
      } finally {
        leave();
      }
    } finally {
      place?.();
      for (const file of files) file.release();
    }
  }

  async #makeOfFiles(
    digest: string,
    { base, origin, files }: Omit<RootToMake, "layers"> & { readonly files: readonly LayerFile[] },
    call: FlightCall,
  ): Promise<string> {
    await this.#removals.get(digest);
    const layerBytes = await Promise.all(files.map(async ({ path, coming }) => coming?.bytes ?? bytesOf(path)));
    const neededBytes = layerBytes.reduce((sum, bytes) => sum + bytes, await bytesOf(base.erofsPath));
    await this.#makeRoom(neededBytes + this.#pull.reserveBytes);
    const startedAtMs = this.#clock.now();
    call.onProgress({ phase: "layer" });
    const record = await whileItComes(files, call.signal, (signal) =>
      makeLayeredRoot({ digest, base, origin, files }, this.#pull, signal),
    );
    this.#shelve(record, undefined);
    const durationMs = this.#clock.now() - startedAtMs;
    this.#log.info("snapshot root made", { digest, size_bytes: record.sizeBytes, duration_ms: durationMs });
    return digest;
  }

  /** Lets a root be made while its layers come, where that leaves a place to others. */
  #enterStreams(): (() => void) | undefined {
    const leaveStreams = this.#streamTurnstile.tryEnter();
    if (leaveStreams === undefined) return undefined;
    const leaveRoots = this.#rootTurnstile.tryEnter();
    if (leaveRoots === undefined) {
      leaveStreams();
      return undefined;
    }
    return () => {
      leaveRoots();
      leaveStreams();
    };
  }

  /** The others have their turn as soon as their layers are here. */
  async #enterWhole(files: readonly LayerFile[], signal: AbortSignal): Promise<() => void> {
    await orAborted(Promise.all(files.map(async ({ coming }) => coming?.whole)), signal);
    return this.#rootTurnstile.enter(signal);
  }

  async #pullInTime(key: string, image: ResolvedImage, call: FlightCall): Promise<files.ImageRecord> {
    const timeoutMs = this.#config.pullTimeoutMs ?? 900_000;
    const deadline = AbortSignal.timeout(timeoutMs);
    try {
      return await pullImage(image, this.#pull, {
        ...call,
        clock: this.#clock,
        signal: AbortSignal.any([call.signal, deadline]),
      });
    } catch (error) {
      if (call.signal.aborted || !deadline.aborted) throw error;
      throw new ImageError("timeout", `Image ${key} cannot be pulled: it took longer than ${timeoutMs} ms.`, error);
    }
  }

  /** Removes unused images when the disk has less room than a pull needs. */
  async #makeRoom(neededBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#config.dir);
    const missingBytes = neededBytes - bavail * bsize;
    if (missingBytes > 0) await this.#evictTo(Math.max(0, totalBytes(this.#shelf) - missingBytes));
  }

  #join(
    flights: Map<string, PullFlight>,
    key: string,
    call: Partial<FlightCall> & { readonly signal: AbortSignal },
    work: (call: FlightCall) => Promise<string>,
  ): Promise<string> {
    let flight = flights.get(key);
    if (flight?.live !== true) {
      const closed = this.#closed.signal;
      const started = createFlight<string, PullProgress>((signal, onProgress) =>
        work({ signal: AbortSignal.any([signal, closed]), onProgress }),
      );
      flights.set(key, started);
      void started.ended.then(() => flights.get(key) === started && flights.delete(key));
      flight = started;
    }
    return flight.join(call.signal, call.onProgress ?? (() => {}));
  }

  #shelve(record: files.ImageRecord, reference: string | undefined): void {
    const { digest, sizeBytes, config, layered, upperBytes } = record;
    if (!this.#shelf.images.has(digest)) {
      const nowMs = this.#clock.now();
      this.#shelf.images.set(digest, {
        digest,
        sizeBytes,
        config,
        layered,
        upperBytes,
        lastUsedAtMs: nowMs,
        notedAtMs: nowMs,
        holders: new Set(),
      });
    }
    if (reference !== undefined) this.#shelf.references.set(reference, { digest });
  }

  /** Notes the use on disk at most once a minute, beside the caller's way. */
  #touch(entry: ShelfImage): void {
    const nowMs = this.#clock.now();
    if (nowMs - entry.notedAtMs >= TOUCH_INTERVAL_MS) {
      const time = new Date(nowMs);
      entry.notedAtMs = nowMs;
      this.#inBackground(utimes(files.recordPath(this.#config.dir, entry.digest), time, time));
    }
    entry.lastUsedAtMs = nowMs;
  }

  #inBackground(work: Promise<unknown>): void {
    const tracked = work
      .catch((error: unknown) => this.#log.warn("image directory cannot be tended", { error }))
      .finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}

interface FlightCall {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
}

interface RootToMake {
  readonly base: Image;
  readonly origin: LayeredOrigin;
  readonly layers: readonly RootLayer[];
}

/**
 * Works on archives that are still being written; it is ended when one of them will never be whole, and that
 * is then the fault that counts: what was read of it may be anything.
 */
async function whileItComes<T>(
  files: readonly LayerFile[],
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const whole = Promise.all(files.map(async ({ coming }) => coming?.whole));
  whole.catch((error: unknown) => lost.abort(error));
  const [worked] = await Promise.allSettled([work(AbortSignal.any([signal, lost.signal]))]);
  if (worked.status === "fulfilled") return worked.value;
  const reason: unknown = worked.reason;
  if (reason instanceof ImageError && reason.fault === "corrupt") await orAborted(whole, signal);
  throw reason;
}

async function bytesOf(path: string): Promise<number> {
  return (await stat(path)).size;
}

const DEFAULT_UPPER_BYTES = 256 * 2 ** 20;
const DEFAULT_UNPACKED_BYTES = 20 * 1024 ** 3;

function pullConfig(config: ImageStoreConfig, anonymousAuthFile: string): PullConfig {
  const maxImageBytes = config.maxImageBytes ?? config.maxBytes;
  return {
    dir: config.dir,
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    authFile: config.authFile ?? anonymousAuthFile,
    ...(config.policyFile === undefined ? {} : { policyFile: config.policyFile }),
    insecureRegistries: config.insecureRegistries ?? [],
    maxImageBytes,
    maxUnpackedBytes: Math.min(config.maxUnpackedBytes ?? DEFAULT_UNPACKED_BYTES, maxImageBytes),
    reserveBytes: config.reserveBytes ?? 1_073_741_824,
    maxUpperBytes: config.maxUpperBytes ?? DEFAULT_UPPER_BYTES,
    resolveTimeoutMs: config.resolveTimeoutMs ?? 30_000,
    env: config.env,
  };
}
