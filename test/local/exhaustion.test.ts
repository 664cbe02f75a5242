import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Atoll, type Sandbox } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";

const image = "atoll/debian";
const MIB = 2 ** 20;
const LINES = 20_000;

/** Numbered lines, now and then one, until all are written or the sandbox is told to hurry. */
const TALKER = `
import os, time
for n in range(${LINES}):
    print(f"{n:06}", flush=n % 100 == 0)
    if n % 100 == 0 and not os.path.exists("/root/hurry"): time.sleep(0.01)
`;
const SAID = Array.from({ length: LINES }, (_, n) => `${String(n).padStart(6, "0")}\n`).join("");

describe("a sandbox that has used up something of its own", { timeout: 120_000 }, () => {
  let gateway: GatewayProcess;
  let client: Atoll;
  beforeAll(async () => {
    gateway = await startGateway({ env: { ATOLL_PIDS_LIMIT: "64" } });
    client = new Atoll({ url: gateway.url });
  }, 60_000);
  afterAll(() => gateway.dispose(), 60_000);

  /** A sandbox in which a command talks while another, `hog`, has used something up; it says so by a line. */
  async function exhausted(hog: string): Promise<{ sandbox: Sandbox; free(): Promise<void> }> {
    const sandbox = await client.sandboxes.create({ image, ephemeralStorage: 64 });
    await sandbox.filesystem.write("/root/before", "kept");
    const talker = await sandbox.commands.spawn(["python3", "-c", TALKER]);
    const hogging = await sandbox.commands.spawn(["python3", "-c", hog]);
    for await (const text of hogging.stdout) if (text.includes("full")) break;
    return {
      sandbox,
      async free() {
        await hogging.kill();
        expect(await hogging.wait()).toBe(-1);
        await sandbox.filesystem.write("/root/hurry", "");
        expect(await talker.wait()).toBe(0);
        let said = "";
        for await (const text of talker.stdout) said += text;
        expect(said).toBe(SAID);
        expect((await sandbox.commands.run(["sh", "-c", "true | cat; echo works"])).stdout).toBe("works\n");
        await sandbox.delete();
      },
    };
  }

  it("tasks: a new command says so or runs, files go on, and afterwards all works", async () => {
    const { sandbox, free } = await exhausted(
      "import os, time\nmine = os.getpid()\nwhile True:\n  try:\n    if os.fork() == 0: break\n  except OSError:\n    print('full', flush=True); break\ntime.sleep(1000)",
    );
    const outcome = await sandbox.commands.run(["echo", "hello"]).then(
      ({ stdout }) => stdout,
      (error: unknown) => error,
    );
    if (outcome !== "hello\n")
      expect(outcome).toMatchObject({ status: 500, message: expect.stringMatching(/no process left/) });
    expect(new TextDecoder().decode(await sandbox.filesystem.read("/root/before"))).toBe("kept");
    await sandbox.filesystem.write("/root/during", "written");
    expect((await client.sandboxes.get(sandbox.id)).status).toBe("Running");
    await free();
  });

  it("disk: an upload says so and leaves the old file, commands run, and afterwards all works", async () => {
    const { sandbox, free } = await exhausted(
      "import time\nf = open('/root/big', 'wb', buffering=0)\ntry:\n  while True: f.write(bytes(65536))\nexcept OSError: pass\ntry:\n  while True: f.write(bytes(1))\nexcept OSError: print('full', flush=True)\ntime.sleep(1000)",
    );
    await expect(sandbox.filesystem.write("/root/before", new Uint8Array(8 * MIB))).rejects.toMatchObject({
      status: 500,
      message: expect.stringMatching(/disk has no room/),
    });
    const { stdout } = await sandbox.commands.run(["sh", "-c", "cat /root/before; ls -A /root | grep -c upload"]);
    expect(stdout).toBe("kept0\n");
    await sandbox.commands.run(["rm", "/root/big"]);
    await free();
  });

  it("memory: the sandbox fails with that reason, and a neighbour feels nothing", async () => {
    const [sandbox, other] = await Promise.all([
      client.sandboxes.create({ image, memory: 96 }),
      client.sandboxes.create({ image, memory: 96 }),
    ]);
    const talker = await sandbox.commands.spawn(["sh", "-c", "echo said; sleep 1000"]);
    for await (const text of talker.stdout) if (text.includes("said")) break;
    const hog = "x = []\nwhile True: x.append(bytearray(2**20))";
    await expect(sandbox.commands.run(["python3", "-c", hog])).rejects.toThrow();
    await expect
      .poll(async () => (await client.sandboxes.get(sandbox.id)).reason, { timeout: 30_000, interval: 50 })
      .toBe("OutOfMemory");
    // Its end is not known, so none is made up.
    await expect(talker.exitCode()).rejects.toMatchObject({ status: 409, message: expect.stringMatching(/memory/i) });
    expect((await other.commands.run(["echo", "well"])).stdout).toBe("well\n");
    await Promise.all([sandbox.delete(), other.delete()]);
  });

  it("descriptors: a program meets its limit alone", async () => {
    const { sandbox, free } = await exhausted(
      "import os, resource, time\nresource.setrlimit(resource.RLIMIT_NOFILE, (100000, 100000))\ntry:\n  while True: os.open('/etc/passwd', 0)\nexcept OSError: print('full', flush=True)\ntime.sleep(1000)",
    );
    expect((await sandbox.commands.run(["sh", "-c", "cat /root/before | cat"])).stdout).toBe("kept");
    await sandbox.filesystem.write("/root/during", "written");
    await free();
  });
});
