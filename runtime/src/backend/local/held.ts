import type { ImageUser, LayeredOrigin } from "./image.ts";
import type { RootImage } from "./oci.ts";

/**
 * A container that waits in a booted sandbox: all of it but the program, which is named when
 * somebody asks for a sandbox (`hold.ts`). Containers made of the same stand in for each other.
 */
export interface HeldContainer {
  readonly digest: string;
  /** What the image's reference means in its registry; absent when that is not known. */
  readonly pulledDigest?: string;
  readonly image: RootImage;
  /** What its root was made of; absent when it is an image alone. */
  readonly layered?: LayeredOrigin;
  readonly user: Pick<ImageUser, "uid" | "gid" | "additionalGids">;
  readonly cwd: string;
  readonly storageBytes: number;
}

/** Equal for containers that stand in for each other; the digest stands for user and directory, which the image names. */
export function heldKey(containers: readonly HeldContainer[]): string {
  return containers
    .map(({ digest, pulledDigest, storageBytes }) => `${digest}/${pulledDigest}/${storageBytes}`)
    .join(" ");
}
