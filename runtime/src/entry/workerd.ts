import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { createLog } from "#core/log.ts";
import { createApp } from "../app.ts";
import { createMemoryBackend } from "../backend/memory/create-memory-backend.ts";
import type { Gateway } from "../gateway.ts";
import { gatewayConfigOf, readEnvironment } from "../manifest.ts";

/** What this file needs of the runtime: a namespace of objects that outlive a request. */
interface Bindings {
  readonly GATEWAY: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
}

/** Holds the app: only an object's timers and streams may be shared between requests. */
export class GatewayObject {
  readonly #app: Gateway;

  constructor(_state: unknown, bindings: Readonly<Record<string, unknown>>) {
    const variables = Object.entries(bindings).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    );
    const env = readEnvironment(Object.fromEntries(variables));
    // oxlint-disable-next-line no-console -- the console is the runtime's only way out for a log
    const log = createLog(env.ATOLL_LOG_LEVEL, (line) => console.log(line), systemClock.now);
    const version = { gitVersion: "v0.1.0", goVersion: "workerd", platform: "workerd" };
    this.#app = createApp({
      backend: createMemoryBackend(),
      clock: systemClock,
      ids: cryptoIds,
      log,
      config: gatewayConfigOf(env),
      version,
    });
  }

  fetch(request: Request): Response | Promise<Response> {
    return this.#app.fetch(request);
  }
}

export default {
  fetch: (request: Request, { GATEWAY }: Bindings): Promise<Response> =>
    GATEWAY.get(GATEWAY.idFromName("gateway")).fetch(request),
};
