import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { commandCases } from "./http/commands.ts";
import { MEMORY_WORLD, type HttpWorld } from "./http/world.ts";
import { fileCases } from "./http/files.ts";
import { outputCases } from "./http/output.ts";
import { runCases } from "./http/runs.ts";
import { sandboxCases } from "./http/sandboxes.ts";
import { snapshotCases, snapshotRefusalCases } from "./http/snapshots.ts";
import { systemCases } from "./http/system.ts";
import { httpClient, type HttpClient } from "./http-client.ts";
import type { RunningGateway, RuntimeName } from "./start-gateway.ts";

/** The API over real connections, case by case; every runtime passes it over the memory backend. */
export function describeHttp(
  runtime: RuntimeName,
  start: () => Promise<Pick<RunningGateway, "url" | "stop">>,
  world: HttpWorld = MEMORY_WORLD,
): void {
  describe(`the gateway on ${runtime}`, { timeout: 30_000 }, () => {
    let gateway: Pick<RunningGateway, "url" | "stop"> | undefined;
    let client: HttpClient | undefined;
    const get = (): HttpClient => {
      if (client === undefined) throw new Error("The gateway under test is not there yet");
      return client;
    };
    beforeAll(async () => {
      gateway = await start();
      client = httpClient(gateway);
    }, 90_000);
    afterEach(() => client?.removeAll(), 60_000);
    afterAll(() => gateway?.stop(), 60_000);

    systemCases(get);
    // workerd ends a request's work together with its connection: nothing of ours runs then.
    sandboxCases(get, { ...world, outlivesRequests: runtime !== "workerd" });
    commandCases(get, world);
    outputCases(get, world);
    runCases(get, world);
    fileCases(get);
    if (world.takesSnapshots) snapshotCases(get, world);
    else snapshotRefusalCases(get);
  });
}
