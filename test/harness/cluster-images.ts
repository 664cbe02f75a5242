import { createHash } from "node:crypto";
import { REGISTRY, REGISTRY_FROM_HOST } from "#testbed/layout.ts";
import { DEBIAN } from "#testbed/images.ts";
import { buildImage } from "../../images/build.ts";
import { pushImage } from "../../images/node/registry-push.ts";

const PUSH_TIMEOUT_MS = 120_000;

/** The cluster's registry from this machine; that of the testbed unless another is named. */
const registryUrl = `http://${process.env["ATOLL_TEST_REGISTRY"] ?? REGISTRY_FROM_HOST}`;

/** Image for sandboxes: Debian with python3. */
export const TEST_IMAGE = `${REGISTRY}/${DEBIAN}`;
/** What no registry has. */
export const MISSING_IMAGE = `${REGISTRY}/no-such-image:1`;

/** Builds the agent's image of the present sources and brings it to the cluster; gives its name there. */
export async function pushAgentImage(): Promise<string> {
  const image = await buildImage("sidecar");
  // A node keeps an image for its tag: other sources have another.
  const tag = createHash("sha256").update(image.manifest.digest).digest("hex").slice(0, 16);
  await pushImage(image, { registryUrl, repository: "atoll-sidecar", tag }, AbortSignal.timeout(PUSH_TIMEOUT_MS));
  return `${REGISTRY}/atoll-sidecar:${tag}`;
}
