import { netCapabilities } from "#runtime/backend/local/node/net-capabilities.ts";
import { readLocalConfig } from "#runtime/backend/local/read-config.ts";
import { readEnvironment } from "#runtime/manifest.ts";
import type { NetworkFacts } from "../machine-facts.ts";

/** The gateway's own trials of the network, with the addresses it would use; undefined when they cannot be made. */
export async function readNetwork(
  env: Readonly<Record<string, string | undefined>>,
): Promise<NetworkFacts | undefined> {
  const settings = Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith("ATOLL_NETWORK_")));
  try {
    const { missingPrograms, ...facts } = await netCapabilities(readLocalConfig(readEnvironment(settings), env).net);
    return missingPrograms.length === 0 ? facts : undefined;
  } catch {
    return undefined;
  }
}
