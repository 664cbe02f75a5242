import type { SnapshotBase } from "#api/snapshot-manifest.ts";

const PINNED = /@(sha256:[0-9a-f]{64})$/;

/** The image of a container that is to start from a snapshot. */
export interface RestoreImage {
  /** As the sandbox names it. */
  readonly image: string;
  /** Of what was pulled; absent as long as it is not known. */
  readonly digest?: string;
}

/**
 * Whether a snapshot's image and a container's are the same. `unknown` = ask again when the
 * container's digest is known. Digests of what was pulled decide where both are known. A digest in a
 * reference may be of an index, whose images have digests of their own: against a digest of what
 * was pulled it proves that two are equal, but not that they differ.
 */
export function compareBase(base: SnapshotBase, container: RestoreImage): "same" | "different" | "unknown" {
  if (base.digest !== undefined && container.digest !== undefined) {
    return base.digest === container.digest ? "same" : "different";
  }
  const [basePin, pin] = [pinOf(base.image), pinOf(container.image)];
  const known = new Set([base.digest, basePin]);
  if ([container.digest, pin].some((digest) => digest !== undefined && known.has(digest))) return "same";
  return basePin !== undefined && pin !== undefined ? "different" : "unknown";
}

/** Why a snapshot is not restored onto this image, in one sentence. */
export function otherBaseMessage(snapshotName: string, base: SnapshotBase, container: RestoreImage): string {
  const taken = nameOf(base.image, base.digest);
  const wanted = nameOf(container.image, container.digest);
  return (
    `The snapshot "${snapshotName}" holds changes over ${taken}, not over ${wanted}: ` +
    "use that image, or set rootfsSnapshotAllowOtherBase."
  );
}

function pinOf(reference: string): string | undefined {
  return PINNED.exec(reference)?.[1];
}

function nameOf(image: string, digest: string | undefined): string {
  return digest === undefined || image.endsWith(digest) ? `"${image}"` : `"${image}" (${digest})`;
}
