import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { GATEWAY_NAME, SYSTEM_NAMESPACE } from "#core/kubernetes/names.ts";
import { REGISTRY } from "#testbed/layout.ts";
import { findCluster } from "../cluster/cluster.ts";
import { install, type Installation } from "../cluster/install.ts";
import { pushAllImages } from "./cluster-images.ts";
import { openTestbed } from "./testbed.ts";

/** Atoll as a user has it after `pulumi up`, on the testbed. */
export interface Platform {
  /** The gateway's Service, as the machine reaches it. */
  readonly url: string;
  /** Of all images of the installation. */
  readonly imageTag: string;
  readonly installation: Installation;
  /** Settings of the stack, for an update that keeps the rest. */
  readonly settings: Settings;
}

type Settings = Readonly<Record<string, unknown>>;

const INSTALL_TIMEOUT_MS = 300_000;
const READY_TIMEOUT_MS = 60_000;
const SERVICE_PATH = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/services/${GATEWAY_NAME}`;

/** Builds the images, brings them to the testbed's registry and installs the platform as the program in `infra/` says. */
export async function startPlatform(change: Settings = {}): Promise<Platform> {
  const testbed = await openTestbed();
  const imageTag = await pushAllImages(testbed.layout.root);
  const settings = {
    imageRegistry: REGISTRY,
    imageTag,
    crds: { keep: false },
    installer: { containerd: { restart: "signal" } },
    gateway: { auth: { insecureNoAuth: true } },
    ...change,
  };
  const client = (await findCluster()).client();
  const installation = await install(settings, { client, signal: AbortSignal.timeout(INSTALL_TIMEOUT_MS) });
  try {
    const url = await gatewayUrl(client);
    await untilReady(url);
    return { url, imageTag, installation, settings };
  } catch (error) {
    await installation.uninstall();
    throw error;
  }
}

/** Addresses of Services lead into the testbed from the machine. */
async function gatewayUrl(client: KubeClient): Promise<string> {
  const text = await client.text(SERVICE_PATH, { signal: AbortSignal.timeout(READY_TIMEOUT_MS) });
  const { spec } = JSON.parse(text) as { spec: { clusterIP: string; ports: { port: number }[] } };
  return `http://${spec.clusterIP}:${spec.ports[0]?.port}`;
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
