import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sandboxProcesses, sweepStrays } from "../harness/strays.ts";
import { startSandbox } from "./sandbox.ts";

/** A test process that makes a sandbox, names its folder, and goes on. */
const HOLDER = `
import { startSandbox } from ${JSON.stringify(join(import.meta.dirname, "sandbox.ts"))};
const sandbox = await startSandbox({ targets: [{ name: "main" }] });
console.log(sandbox.directory);
setInterval(() => undefined, 1000);
`;

test("a killed test process leaves no sandbox to the next run, and a living one keeps its own", async () => {
  await using mine = await startSandbox({ targets: [{ name: "main" }] });
  const holder = spawn(process.execPath, ["--input-type=module", "--eval", HOLDER], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(holder.stdout, "data")) as [Buffer];
  const directory = line.toString().trim();
  const state = join(directory, "state");
  expect(sandboxProcesses(state)).not.toEqual([]);
  const ended = once(holder, "exit");
  holder.kill("SIGKILL");
  await ended;
  sweepStrays("atoll-agent-");
  await expect.poll(() => sandboxProcesses(state)).toEqual([]);
  expect(existsSync(directory)).toBe(false);
  expect((await mine.fetch("/v1/health")).status).toBe(200);
}, 60_000);

test("a container that was added later goes with its sandbox", async () => {
  const sandbox = await startSandbox({ targets: [{ name: "main" }] });
  await sandbox.addTarget({ name: "later" });
  await sandbox[Symbol.asyncDispose]();
  expect(sandboxProcesses(join(sandbox.directory, "state"))).toEqual([]);
}, 60_000);
