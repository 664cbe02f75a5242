/** Who a container's main process runs as, by the image's own user database. */
export interface ImageUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Home directory by the image's `/etc/passwd`; `/` for a user it does not list, `/root` for an unlisted root. */
  readonly home: string;
}

/** What an image says about its main process. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Absolute; `/` when the image names none. */
  readonly workingDir: string;
  readonly user: ImageUser;
}

/** A root file system that lies ready on this machine, read-only and shared by all its sandboxes. */
export interface Image {
  /** `sha256:…` of the platform's manifest; of the file itself for an image built here. */
  readonly digest: string;
  /** The EROFS file. */
  readonly erofsPath: string;
  /** An empty directory, for the runtime's `root.path`. */
  readonly emptyRootDir: string;
  readonly config: ImageConfig;
  /** What its reference means in the registry, as a cluster knows it; of the image itself when it was built here. Absent when no reference led to it. */
  readonly pulledDigest?: string;
  /** Bytes of the EROFS file. */
  readonly sizeBytes: number;
  /** What is above it at a container's start, for what EROFS cannot show. */
  readonly upperTar?: UpperTar;
  /** Of an image with snapshot layers on top. */
  readonly layered?: LayeredOrigin;
}

/** An archive that gVisor puts into a container's own layer at its start, at the cost of twice its size in memory. */
export interface UpperTar {
  readonly path: string;
  readonly bytes: number;
}

/** What a root was made of. */
export interface LayeredOrigin {
  /** Digest of the image below. */
  readonly base: string;
  /** Digests of the layers' archives, from the bottom to the top. */
  readonly tarDigests: readonly string[];
}
