import { systemClock } from "#core/clock.ts";
import { Atoll } from "#sdk";
import { clientUrl, type GatewayRecord } from "../gateway/gateway-record.ts";
import { gatewayEnvironment } from "../gateway/gateway-environment.ts";
import { readLogTail, startGateway, stopProcess, type StartedGateway } from "../node/gateway-process.ts";
import { createGatewayStore } from "../node/gateway-store.ts";
import { makeMachineKey, readMachineKey } from "../node/machine-key.ts";
import { readVersion } from "../node/read-version.ts";
import { gatewayEnded } from "../verb/up.ts";
import type { World } from "./world.ts";

/** Options of `up` on where and how to listen. */
export interface ListenOptions {
  readonly listen?: string | undefined;
  readonly port?: number | undefined;
  readonly insecure: boolean;
  readonly keyHash?: string;
}

/** Where the gateway will listen, and its environment. */
export function plan(world: World, options: ListenOptions): ReturnType<typeof gatewayEnvironment> {
  return gatewayEnvironment({ ...world.env, PATH: world.searchPath }, { home: world.home, ...options });
}

const ANSWER_WITHIN_MS = 5_000;

/** The gateway of ATOLL_HOME, as the verbs see it. */
export function createGateway(world: World) {
  const store = createGatewayStore(world.home);
  const client = async (url: string): Promise<Atoll> => {
    const apiKey = (await readMachineKey(world.home)) ?? world.env["ATOLL_API_KEY"];
    return new Atoll({ url, apiKey, maxRetries: 1 });
  };
  return {
    store,
    client,
    async start(options: ListenOptions): Promise<{ record: GatewayRecord } & StartedGateway> {
      const { repo, home } = world;
      const { hash: keyHash } = await makeMachineKey(home);
      const { env, listen } = plan(world, { ...options, keyHash });
      const { version } = await readVersion(repo);
      // Nothing takes time between the start and its record: a gateway without one would be found by nobody.
      const started = await startGateway({ repo, home, env, logFile: store.logFile });
      const url = clientUrl(listen.hostname, listen.port);
      const startedAt = new Date(systemClock.now()).toISOString();
      const facts = { pid: started.pid, url, version, startedAt, logFile: store.logFile };
      const record = await store.save(facts);
      if (record === undefined) throw gatewayEnded(await started.ended, await lastWords(store.logFile), store.logFile);
      return { record, ...started };
    },
    async stop(record: GatewayRecord): Promise<void> {
      const isGone = async (): Promise<boolean> => (await store.running())?.pid !== record.pid;
      await stopProcess(record.pid, isGone, systemClock);
      await store.forget();
    },
    async isReady(url: string): Promise<boolean> {
      const answer = fetch(`${url}/readyz`, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      return answer.then(
        (response) => response.ok,
        () => false,
      );
    },
    async sandboxes(url: string): Promise<readonly { id: string; status: string }[]> {
      return (await client(url)).sandboxes.list({ timeoutMs: ANSWER_WITHIN_MS });
    },
  };
}

/** The message of the log's last line, which is JSON unless the runtime itself failed. */
export async function lastWords(logFile: string): Promise<string> {
  const line = await readLogTail(logFile, 1);
  try {
    const found: unknown = JSON.parse(line);
    if (typeof found === "object" && found !== null && "message" in found) return String(found.message);
  } catch {
    // Not JSON: the line as it is.
  }
  return line.replace(/^atoll-gateway: /, "").slice(0, 300);
}
