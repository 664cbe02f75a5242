import type { Log } from "#core/log.ts";
import type { Image } from "#runtime/backend/local/image.ts";

/** Settings of the image store; what is absent has the default named here. */
export interface ImageStoreConfig {
  /** Directory of the images; one process at a time uses it. */
  readonly dir: string;
  /** Bytes of all images above which unused ones are removed. */
  readonly maxBytes: number;
  /** `IfNotPresent` (default) asks the registry once a tag, `Always` on each acquire. */
  readonly pullPolicy?: "IfNotPresent" | "Always";
  /** Credentials in Docker's `config.json` format; absent = anonymous. */
  readonly authFile?: string;
  /** Trust policy of skopeo (`policy.json`); absent = unsigned images are accepted. */
  readonly policyFile?: string;
  /** `host` or `host:port` reached without TLS, or with a certificate nobody vouches for. */
  readonly insecureRegistries?: readonly string[];
  /** Only these registries are asked; absent = any. */
  readonly allowedRegistries?: readonly string[];
  /** Largest single image; default `maxBytes`. */
  readonly maxImageBytes?: number;
  /** Largest unpacked tree of a single image, each file counted as 4 KiB at least; default 20 GiB, `maxImageBytes` at most. */
  readonly maxUnpackedBytes?: number;
  /** Free disk that a pull must leave; default 1 GiB. */
  readonly reserveBytes?: number;
  /** Largest archive of what EROFS cannot show of a snapshot; default 256 MiB. */
  readonly maxUpperBytes?: number;
  /** Default 30 s. */
  readonly resolveTimeoutMs?: number;
  /** Default 15 min. */
  readonly pullTimeoutMs?: number;
  /** Default 2. */
  readonly maxConcurrentPulls?: number;
  /** Environment of skopeo, umoci and mkfs.erofs: PATH, proxy variables, SSL_CERT_FILE. */
  readonly env: Readonly<Record<string, string>>;
}

/** How far a pull is; `doneBytes` of `totalBytes` are compressed bytes and known while downloading. */
export interface PullProgress {
  readonly phase: "resolve" | "download" | "unpack" | "pack" | "layer";
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

export interface AcquireCall {
  /** Id of the sandbox that will use the image; it is held for it before this returns. */
  readonly holder: string;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** An archive does not come, for no fault of its own: it is worth bringing anew. Says what is waited for. */
export class LayerLost extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "LayerLost";
  }
}

/** A snapshot's layer, as a tar archive in gVisor's form. */
export interface RootLayer {
  /** `sha256:…` of the archive; it is checked. */
  readonly tarDigest: string;
  /** Brings the archive to this machine; called only when no root of it is there yet. */
  readonly fetch: (signal: AbortSignal, use: LayerUse) => Promise<LayerFile>;
}

export interface LayerUse {
  /** It is read once, from its beginning to its end. */
  readonly isReadOnce: boolean;
}

export interface LayerFile {
  readonly path: string;
  /** The archive is still being written: to this length, from its beginning on. */
  readonly coming?: {
    readonly bytes: number;
    /** The path is a named pipe, to be read once. */
    readonly isPipe: boolean;
    /** Resolves when it is whole. Rejects when it will not be. */
    readonly whole: Promise<void>;
  };
  /** The archive is needed no longer. */
  readonly release: () => void;
}

export interface StoredImage {
  readonly digest: string;
  readonly references: readonly string[];
  readonly sizeBytes: number;
  readonly lastUsedAtMs: number;
  readonly holders: readonly string[];
}

/** The root file systems on this machine: pulled once, shared read-only, removed when unused and too many. */
export interface ImageStore {
  /** The image of a reference, pulled if need be, held for `holder`. Throws ImageError, or `bad-request` for a malformed reference. */
  acquire(reference: string, call: AcquireCall): Promise<Image>;
  /**
   * The root made of an image, held by the caller, and layers on top of it: made once for all who
   * ask, kept and removed as images are. Throws ImageError, or what the bringing of a layer threw.
   */
  acquireLayered(base: Image, layers: readonly RootLayer[], call: AcquireCall): Promise<Image>;
  /**
   * Holds an image again for a sandbox that outlived the process; undefined when it is gone.
   * Holders live in memory: all are named again before the first `acquire` or `evict`.
   */
  hold(digest: string, holder: string): Image | undefined;
  /** Gives up all that a holder holds. Idempotent. */
  releaseAll(holder: string): void;
  list(): readonly StoredImage[];
  /** Removes unused images, least recently used first, until `maxBytes` is kept; answers the digests. */
  evict(): Promise<readonly string[]>;
  /** Stops pulls and waits for what runs in the background. */
  close(): Promise<void>;
}
