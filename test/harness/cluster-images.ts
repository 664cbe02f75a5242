import { createHash } from "node:crypto";
import { createLayout } from "#testbed/layout.ts";
import { REGISTRY, REGISTRY_FROM_HOST } from "#testbed/layout.ts";
import { DEBIAN } from "#testbed/images.ts";
import { buildImage } from "../../images/build.ts";
import type { OciImage } from "../../images/node/oci-image.ts";
import { pushImage } from "../../images/node/registry-push.ts";
import { PROGRAM_NAMES } from "../../images/programs.ts";

const PUSH_TIMEOUT_MS = 120_000;

/** The cluster's registry from this machine; that of the testbed unless another is named. */
export const registryUrl = `http://${process.env["ATOLL_TEST_REGISTRY"] ?? REGISTRY_FROM_HOST}`;

/** Image for sandboxes: Debian with python3. */
export const TEST_IMAGE = `${REGISTRY}/${DEBIAN}`;
/** What no registry has. */
export const MISSING_IMAGE = `${REGISTRY}/no-such-image:1`;

/** Builds the agent's image of the present sources and brings it to the cluster; gives its name there. */
export async function pushAgentImage(): Promise<string> {
  const image = await buildImage("sidecar");
  const tag = tagOf([image]);
  await push(image, "sidecar", tag);
  return `${REGISTRY}/atoll-sidecar:${tag}`;
}

/** The same for all programs; gives their common tag. `testbedRoot` is where gVisor's programs were built. */
export async function pushAllImages(testbedRoot: string): Promise<string> {
  const { gvisor } = createLayout(testbedRoot);
  const images = await Promise.all(
    PROGRAM_NAMES.map(async (name) => [name, await buildImage(name, { gvisorDir: gvisor })] as const),
  );
  const tag = tagOf(images.map(([, image]) => image));
  for (const [name, image] of images) await push(image, name, tag);
  return tag;
}

/** A node keeps an image for its tag: other sources have another. */
function tagOf(images: readonly OciImage[]): string {
  const digests = images.map(({ manifest }) => manifest.digest).join("\n");
  return createHash("sha256").update(digests).digest("hex").slice(0, 16);
}

function push(image: OciImage, name: string, tag: string): Promise<void> {
  return pushImage(image, { registryUrl, repository: `atoll-${name}`, tag }, AbortSignal.timeout(PUSH_TIMEOUT_MS));
}
