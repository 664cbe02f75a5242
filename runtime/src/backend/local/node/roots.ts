import { ProblemError } from "#core/problem-error.ts";
import type { ContainerSpec } from "#core/sandbox.ts";
import { compareBase, otherBaseMessage } from "#core/snapshot/compare-base.ts";
import type { Call } from "#runtime/backend/port.ts";
import type { Image } from "../image.ts";
import { ImageError } from "../image-error.ts";
import type { ImageStore } from "../image-store.ts";
import { StartError } from "../machine.ts";
import type { RootRestore } from "../root-restore.ts";

export interface RootsDeps {
  readonly images: Pick<ImageStore, "acquire" | "acquireLayered">;
  /** Image references that stand for others. */
  readonly aliases: Readonly<Record<string, string>>;
}

/** A root is held for `holder` until that releases it. */
export interface RootCall extends Call {
  readonly holder: string;
}

/** Finds or makes the root of a container: its image, and what its snapshot has on top. Throws StartError. */
export function createRoots({ images, aliases }: RootsDeps) {
  async function acquireImage(reference: string, call: RootCall): Promise<Image> {
    try {
      return await images.acquire(aliases[reference] ?? reference, call);
    } catch (error) {
      // A malformed reference names no image; the sandbox says so as it does for an unknown one.
      throw error instanceof ProblemError ? new StartError("ImageNotFound", error.message, { cause: error }) : error;
    }
  }

  return async (
    { name, image }: Pick<ContainerSpec, "name" | "image">,
    restore: RootRestore | undefined,
    call: RootCall,
  ): Promise<Image> => {
    const below = await acquireImage(image, call);
    if (restore === undefined) return below;
    const { snapshotName, base, layers } = restore;
    const { pulledDigest } = below;
    const found = { image, ...(pulledDigest === undefined ? {} : { digest: pulledDigest }) };
    if (base !== undefined && compareBase(base, found) === "different")
      throw new StartError("RootfsRestoreConfigurationError", otherBaseMessage(snapshotName, base, found));
    try {
      const root = await images.acquireLayered(below, layers, call);
      return pulledDigest === undefined ? root : { ...root, pulledDigest };
    } catch (error) {
      // The layers' faults are told in the words of images; here they mean the snapshot.
      if (!(error instanceof StartError)) throw error;
      if (error.reason === "SnapshotDamaged") throw error;
      const isDamaged = error instanceof ImageError && error.fault === "corrupt";
      const reason = isDamaged ? "SnapshotDamaged" : "RootfsRestoreConfigurationError";
      throw new StartError(reason, `${error.message} It is "${snapshotName}" of container "${name}".`, {
        cause: error,
      });
    }
  };
}
