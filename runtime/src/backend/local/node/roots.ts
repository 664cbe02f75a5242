import { ProblemError } from "#core/problem-error.ts";
import type { ContainerSpec } from "#core/sandbox.ts";
import type { Call } from "#runtime/backend/port.ts";
import type { Image } from "../image.ts";
import type { ImageStore } from "../image-store.ts";
import { StartError } from "../machine.ts";
import type { RootRestores } from "../root-restores.ts";

export interface RootsDeps {
  readonly images: Pick<ImageStore, "acquire" | "acquireLayered">;
  /** Image references that stand for others. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly restores: RootRestores | undefined;
}

/** Finds or makes the root of a container: its image, and what its snapshot has on top. Throws StartError. */
export function createRoots({ images, aliases, restores }: RootsDeps) {
  async function acquireImage(reference: string, holder: string, call: Call): Promise<Image> {
    try {
      return await images.acquire(aliases[reference] ?? reference, { signal: call.signal, log: call.log, holder });
    } catch (error) {
      // A malformed reference names no image; the sandbox says so as it does for an unknown one.
      throw error instanceof ProblemError ? new StartError("ImageNotFound", error.message, { cause: error }) : error;
    }
  }

  return async (container: ContainerSpec, holder: string, call: Call): Promise<Image> => {
    const { name, image, rootfsSnapshotName } = container;
    if (rootfsSnapshotName === undefined) return acquireImage(image, holder, call);
    if (restores === undefined)
      throw cannot(`This installation restores no snapshots, and container "${name}" asks for one.`);
    const restore = await restores.find(container, call);
    const base = await acquireImage(image, holder, call);
    if (restore.base !== undefined && restore.base !== base.digest) {
      throw cannot(
        `The snapshot "${rootfsSnapshotName}" was taken over the image ${restore.base}, but "${image}" of container "${name}" is ${base.digest}.`,
      );
    }
    try {
      return await images.acquireLayered(base, restore.layers, { signal: call.signal, log: call.log, holder });
    } catch (error) {
      // The layers' faults are told in the words of images; here they mean the snapshot.
      if (!(error instanceof StartError)) throw error;
      throw cannot(`${error.message} It is "${rootfsSnapshotName}" of container "${name}".`, error);
    }
  };
}

function cannot(message: string, cause?: unknown): StartError {
  return new StartError("RootfsRestoreConfigurationError", message, { cause });
}
