import type { KubeClient } from "#core/kubernetes/client.ts";
import { findCluster, type Cluster } from "../../test/cluster/cluster.ts";
import { TEST_IMAGE } from "../../test/harness/cluster-images.ts";
import { startPlatform } from "../../test/harness/platform.ts";
import { openRawPods, type RawPods } from "./raw-pods.ts";

export interface OnPlatform {
  /** The gateway in its pod. */
  readonly url: string;
  /** Debian with python3, on the node already. */
  readonly image: string;
  readonly cluster: Cluster;
  readonly client: KubeClient;
  readonly raw: RawPods;
}

/** Installs the platform on the testbed, which must be up, measures on it and removes it. */
export async function onPlatform(measure: (platform: OnPlatform) => Promise<void>): Promise<void> {
  const { url, dispose } = await startPlatform();
  try {
    const cluster = await findCluster();
    const client = cluster.client();
    const raw = await openRawPods(client, TEST_IMAGE);
    try {
      // The image is unpacked for the first of all.
      await raw.remove(await raw.start());
      await measure({ url, image: TEST_IMAGE, cluster, client, raw });
    } finally {
      await raw.dispose();
    }
  } finally {
    await dispose();
  }
}
