import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { holdTestbed } from "../harness/hold-testbed.ts";

const HOLDER = `
import { holdTestbed } from ${JSON.stringify(join(import.meta.dirname, "../harness/hold-testbed.ts"))};
await holdTestbed(process.argv[1], async () => undefined);
console.log("held");
setInterval(() => undefined, 1000);
`;

/** The folder of a testbed, and how often the testbed was made anew. */
function testbed() {
  const root = mkdtempSync(join(tmpdir(), "atoll-hold-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const folder = join(root, "state", "platform");
  const seen = { folder, renewals: 0 };
  const renew = async (): Promise<void> => {
    seen.renewals += 1;
    rmSync(folder, { recursive: true });
  };
  return { seen, hold: () => holdTestbed(folder, renew) };
}

/** Another process that holds the same testbed. */
async function holder(folder: string): Promise<{ pid: number | undefined; kill(): Promise<void> }> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", HOLDER, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  onTestFinished(kill);
  await Promise.race([once(child.stdout, "data"), ended]);
  return { pid: child.pid, kill };
}

describe("holdTestbed", () => {
  test("leaves a testbed alone that nobody held, or whose holder let go of it", async () => {
    const { seen, hold } = testbed();
    const letGo = await hold();
    letGo();
    await hold();
    expect(seen.renewals).toBe(0);
  });

  test("makes the testbed anew when its holder was killed, once", async () => {
    const { seen, hold } = testbed();
    await (await holder(seen.folder)).kill();
    const letGo = await hold();
    expect(seen.renewals).toBe(1);
    letGo();
    await hold();
    expect(seen.renewals).toBe(1);
  });

  test("takes the testbed from nobody who lives", async () => {
    const { seen, hold } = testbed();
    const { pid } = await holder(seen.folder);
    await expect(hold()).rejects.toThrow(`Process ${pid} has the platform installed`);
    expect(seen.renewals).toBe(0);
  });
});
