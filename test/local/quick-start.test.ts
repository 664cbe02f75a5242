import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { RUNTIMES } from "../harness/runtimes.ts";

const run = promisify(execFile);
const program = new URL("../sdk/quick-start.ts", import.meta.url).pathname;
const preload = new URL("../sdk/quick-start-preload.ts", import.meta.url).pathname;
let gateway: GatewayProcess | undefined;

/** The image of the quick start need not be reachable: another with python3 stands in for it. */
beforeAll(async () => {
  if (process.env["ATOLL_TEST_URL"] !== undefined) return;
  gateway = await startGateway({ env: { ATOLL_IMAGE_ALIASES: "python:3.12-slim=atoll/debian" } });
}, 60_000);

afterAll(() => gateway?.dispose());

test("quick start of the TypeScript client runs word for word", async () => {
  const env = { ...process.env, ATOLL_TEST_URL: process.env["ATOLL_TEST_URL"] ?? gateway?.url };
  const { stdout } = await run(RUNTIMES.node[0], ["--import", preload, program], { env, timeout: 60_000 });
  expect(stdout).toBe("hello from the sandbox\n\nHello, World!\n");
}, 70_000);
