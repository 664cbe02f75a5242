import type { ContainerSpec } from "#core/sandbox.ts";
import { CONTAINER_MARK } from "#sidecar/manifest.ts";
import type { HeldContainer } from "./held.ts";
import type { HoldOrder } from "./hold.ts";
import type { Image } from "./image.ts";
import { storageBytes } from "./shape.ts";

const DEFAULT_COMMAND = ["sleep", "infinity"] as const;
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A container of a sandbox: what it is made of, and what it becomes. */
export interface ContainerPlan {
  readonly name: string;
  readonly held: HeldContainer;
  readonly order: HoldOrder;
}

/** A container without a command sleeps; the image's own entrypoint is not run. */
export function planContainer(container: ContainerSpec, image: Image, defaultStorageBytes: number): ContainerPlan {
  const command = container.command ?? [];
  const env = new Map(Object.entries({ PATH: DEFAULT_PATH, ...image.config.env, ...container.env }));
  env.set(CONTAINER_MARK, container.name);
  const { digest, pulledDigest, erofsPath, emptyRootDir, config, upperTar, layered } = image;
  const { uid, gid, additionalGids } = config.user;
  return {
    name: container.name,
    held: {
      digest,
      ...(pulledDigest === undefined ? {} : { pulledDigest }),
      image: { erofsPath, emptyRootDir, ...(upperTar === undefined ? {} : { upperTarPath: upperTar.path }) },
      ...(layered === undefined ? {} : { layered }),
      user: { uid, gid, additionalGids },
      cwd: config.workingDir === "" ? "/" : config.workingDir,
      storageBytes: storageBytes(container.resources?.limits, defaultStorageBytes),
    },
    order: {
      args: command.length > 0 ? command : DEFAULT_COMMAND,
      env: [...env].map(([name, value]) => `${name}=${value}`),
    },
  };
}
