import { readFile, writeFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { silentLog } from "#core/log.ts";
import { createApp } from "#runtime/app.ts";
import { createMemoryBackend } from "#runtime/backend/memory/create-memory-backend.ts";
import { DEFAULT_GATEWAY_CONFIG } from "#runtime/gateway-config.ts";

const GOLDEN = new URL("../../api/generated/openapi/isola.json", import.meta.url);

function makeApp() {
  const version = { gitVersion: "v0.0.0", goVersion: "test", platform: "test" };
  return createApp({
    backend: createMemoryBackend(),
    clock: systemClock,
    ids: cryptoIds,
    log: silentLog,
    config: DEFAULT_GATEWAY_CONFIG,
    version,
  });
}

interface Operation {
  readonly operationId: string;
  readonly responses: Record<string, unknown>;
}

async function servedDocument() {
  const answer = await makeApp().request("/openapi.json", { headers: { Host: "localhost" } });
  return (await answer.json()) as {
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: Record<string, unknown> };
  };
}

it("api/generated/openapi/isola.json is what the gateway serves (UPDATE_GENERATED=true writes it)", async () => {
  const text = `${JSON.stringify(await servedDocument(), undefined, 2)}\n`;
  if (process.env["UPDATE_GENERATED"] === "true") await writeFile(GOLDEN, text);
  expect(await readFile(GOLDEN, "utf8")).toBe(text);
});

it("the OpenAPI document has the contract's operations with their success statuses", async () => {
  const { paths } = await servedDocument();
  const operations = Object.values(paths).flatMap((item) => Object.values(item));
  const successes = operations.map(({ operationId, responses }) => [
    operationId,
    Object.keys(responses)
      .filter((status) => status < "300")
      .join(" "),
  ]);
  expect(Object.fromEntries(successes)).toEqual({
    getHealth: "200",
    getHealthz: "200",
    getReady: "200",
    getReadyz: "200",
    getVersion: "200",
    createSandbox: "201",
    listSandboxes: "200",
    getSandbox: "200",
    deleteSandbox: "204",
    createSandboxCommand: "200 202",
    deleteSandboxCommand: "204",
    getSandboxCommandStatus: "200",
    getSandboxCommandStdout: "200",
    getSandboxCommandStderr: "200",
    postSandboxCommandStdin: "204",
    closeSandboxCommandStdin: "204",
    readSandboxFilesystem: "200",
    writeSandboxFilesystem: "204",
    createRootfsSnapshot: "201",
    listRootfsSnapshots: "200",
    getRootfsSnapshot: "200",
    deleteRootfsSnapshot: "204",
  });
});

it("the OpenAPI document names no schema that it does not have", async () => {
  const document = await servedDocument();
  const named = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name ?? "");
  expect(named.filter((name) => !(name in document.components.schemas))).toEqual([]);
});
