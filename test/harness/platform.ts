import { setTimeout as sleep } from "node:timers/promises";
import { NETWORK, REGISTRY } from "#testbed/layout.ts";
import { findCluster } from "../cluster/cluster.ts";
import { install, type Installation } from "../cluster/install.ts";
import { pushAllImages } from "./cluster-images.ts";
import { openTestbed } from "./testbed.ts";

/** Atoll as a user has it after `pulumi up`, on the testbed. */
export interface Platform {
  /** The gateway's Service, by the node's address. */
  readonly url: string;
  /** Of all images of the installation. */
  readonly imageTag: string;
  readonly installation: Installation;
}

type Settings = Readonly<Record<string, unknown>>;

/** Kept of each sandbox's output: more than any test but one prints. */
export const JOURNAL_BYTES = 256 << 20;

const INSTALL_TIMEOUT_MS = 300_000;
const READY_TIMEOUT_MS = 60_000;
const NODE_PORT = 30_080;
const URL_OF_GATEWAY = `http://${NETWORK.nodeIp}:${NODE_PORT}`;
/** The released clients know no key; the gateway goes by one name, so that it can refuse others. */
const GATEWAY = {
  service: { type: "NodePort", nodePort: NODE_PORT },
  auth: { insecureNoAuth: true, allowedHosts: [NETWORK.nodeIp] },
};

/** Builds the images, brings them to the testbed's registry and installs the platform as the program in `infra/` says. */
export async function startPlatform(change: Settings = {}): Promise<Platform> {
  const testbed = await openTestbed();
  const imageTag = await pushAllImages(testbed.layout.root);
  const settings = {
    imageRegistry: REGISTRY,
    imageTag,
    crds: { keep: false },
    installer: { containerd: { restart: "signal" } },
    ...change,
    operator: { sandboxes: { journalBytes: JOURNAL_BYTES }, ...(change["operator"] as object | undefined) },
    gateway: { ...GATEWAY, ...(change["gateway"] as object | undefined) },
  };
  const client = (await findCluster()).client();
  const installation = await install(settings, { client, signal: AbortSignal.timeout(INSTALL_TIMEOUT_MS) });
  try {
    await untilReady(URL_OF_GATEWAY);
    return { url: URL_OF_GATEWAY, imageTag, installation };
  } catch (error) {
    await installation.uninstall();
    throw error;
  }
}

async function untilReady(url: string): Promise<void> {
  const deadlineMs = Date.now() + READY_TIMEOUT_MS;
  while (Date.now() < deadlineMs) {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(100);
  }
  throw new Error(`The gateway at ${url} was not ready within ${READY_TIMEOUT_MS} ms`);
}
