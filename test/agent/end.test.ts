import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../harness/until.ts";
import { exec, shell } from "./client.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

const TEST_MS = 60_000;
/** Several looks of the agent at its containers. */
const LONG_MS = 1000;

let sandbox: AgentSandbox;

beforeEach(async () => {
  sandbox = await startSandbox({ targets: [{ name: "main" }] });
}, TEST_MS);
afterEach(async () => sandbox?.[Symbol.asyncDispose]());

const statusOf = async (target?: string): Promise<string> =>
  (JSON.parse(await sandbox.runsc("state", sandbox.idOf(target))) as { status: string }).status;
const pause = (): Promise<void> => new Promise((done) => setTimeout(done, LONG_MS));

describe("asked by the runtime to end, the agent", () => {
  test(
    "serves what still runs, and ends with the last container",
    async () => {
      await sandbox.runsc("kill", sandbox.idOf(), "TERM");
      await pause();
      expect((await exec(sandbox, ["echo", "here"])).stdout).toBe("here\n");
      await sandbox.runsc("kill", sandbox.idOf("main"), "KILL");
      await until(
        () => statusOf(),
        (status) => status === "stopped",
      );
    },
    TEST_MS,
  );

  test(
    "ends for nobody inside, not even for root",
    async () => {
      const { command } = await shell(sandbox, "kill -TERM 1; kill -TERM 1");
      expect(command).toMatchObject({ exitCode: 0 });
      await pause();
      await sandbox.runsc("kill", sandbox.idOf("main"), "KILL");
      await until(
        () => statusOf("main"),
        (status) => status === "stopped",
      );
      await pause();
      expect(await statusOf()).toBe("running");
    },
    TEST_MS,
  );
});
