import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Atoll } from "#sdk";
import { makeHome, startGateway, type GatewayProcess } from "../harness/gateway-process.ts";

const image = "atoll/debian";
const MIB = 2 ** 20;

describe("a machine whose disk runs short", { timeout: 60_000 }, () => {
  let gateway: GatewayProcess | undefined;
  let disk: string | undefined;
  afterEach(async () => {
    // Mounted over nothing that a home needs for its end.
    if (disk !== undefined) execFileSync("umount", ["--lazy", disk]);
    await gateway?.dispose();
  }, 60_000);

  it("ends the sandbox that takes the most of it, though its limit is larger, and no other", async () => {
    const home = makeHome();
    disk = join(home, "boots");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=768m,mode=0700", "tmpfs", disk]);
    gateway = await startGateway({ home, env: { ATOLL_DISK_RESERVE_BYTES: String(384 * MIB) } });
    const client = new Atoll({ url: gateway.url });
    const [greedy, modest] = await Promise.all([
      client.sandboxes.create({ image }),
      client.sandboxes.create({ image }),
    ]);
    await modest.commands.run(["sh", "-c", "head -c 40000000 /dev/zero > /root/mine"]);
    const talker = await modest.commands.spawn([
      "sh",
      "-c",
      "while [ ! -e /root/stop ]; do sleep 0.01; done; echo ended",
    ]);

    const filling = await greedy.commands.spawn(["sh", "-c", "head -c 2000000000 /dev/zero > /root/all"]);
    await expect(filling.wait()).rejects.toMatchObject({ status: 409 });
    const after = await client.sandboxes.get(greedy.id);
    expect([after.status, after.reason]).toEqual(["Failed", "DiskPressure"]);
    expect(after.message).toMatch(
      /^The machine's disk was nearly full, and this sandbox took the most of it \(\d+ MiB\)/,
    );

    await modest.filesystem.write("/root/stop", "");
    expect(await talker.wait()).toBe(0);
    expect((await modest.commands.run(["sh", "-c", "wc -c < /root/mine"])).stdout).toBe("40000000\n");
    const next = await client.sandboxes.create({ image });
    expect((await next.commands.run(["echo", "well"])).stdout).toBe("well\n");
    await Promise.all([greedy, modest, next].map((sandbox) => sandbox.delete()));
    await expect.poll(() => client.sandboxes.list(), { timeout: 20_000, interval: 20 }).toEqual([]);
  });
});
