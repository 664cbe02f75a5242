import { join } from "node:path";
import { SYSTEM_NAMESPACE } from "#core/kubernetes/names.ts";
import { NAMESPACES } from "#core/kubernetes/resources.ts";
import { NETWORK, REGISTRY } from "#testbed/layout.ts";
import { call, findCluster } from "../cluster/cluster.ts";
import { exists } from "../cluster/exists.ts";
import { install } from "../cluster/install.ts";
import { pushAllImages } from "./cluster-images.ts";
import { holdTestbed } from "./hold-testbed.ts";
import { SNAPSHOT_SETTINGS } from "./snapshot-store.ts";
import { openTestbed, renewTestbed } from "./testbed.ts";
import { untilReady } from "./until-ready.ts";

/** Atoll as a user has it after `pulumi up`, on the testbed. */
export interface Platform {
  /** The gateway's Service, by the node's address. */
  readonly url: string;
  /** Of all images of the installation. */
  readonly imageTag: string;
  /** Removes it with all that belongs to it. */
  dispose(): Promise<void>;
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

/**
 * Builds the images, brings them to the testbed's registry and installs the platform as the program
 * in `infra/` says. What a process that was killed has installed goes before, with its testbed.
 */
export async function startPlatform(change: Settings = {}): Promise<Platform> {
  const { layout, kubeconfig } = await openTestbed();
  const named = process.env["KUBECONFIG"] ?? kubeconfig;
  if (named !== kubeconfig) throw new Error(`The platform is tested on the testbed, and KUBECONFIG names ${named}`);
  const letGo = await holdTestbed(join(layout.state, "platform"), () => renewTestbed(layout));
  const client = (await findCluster()).client();
  if (await exists(client.get(NAMESPACES, { name: SYSTEM_NAMESPACE }, call()))) {
    letGo();
    throw new Error(
      `The testbed has the namespace ${SYSTEM_NAMESPACE}, which no test made: remove that installation, or the testbed`,
    );
  }
  const imageTag = await pushAllImages(layout.root);
  const settings = {
    imageRegistry: REGISTRY,
    imageTag,
    crds: { keep: false },
    installer: { containerd: { restart: "signal" } },
    ...SNAPSHOT_SETTINGS,
    ...change,
    operator: { sandboxes: { journalBytes: JOURNAL_BYTES }, ...(change["operator"] as object | undefined) },
    gateway: { ...GATEWAY, ...(change["gateway"] as object | undefined) },
  };
  const installation = await install(settings, { client, signal: AbortSignal.timeout(INSTALL_TIMEOUT_MS) });
  // Only who has removed everything lets go.
  const dispose = async (): Promise<void> => {
    await installation.uninstall();
    letGo();
  };
  try {
    await untilReady(`${URL_OF_GATEWAY}/readyz`, { who: "The gateway's Service", timeoutMs: READY_TIMEOUT_MS });
    return { url: URL_OF_GATEWAY, imageTag, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}
