import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Atoll, type Sandbox, type SandboxSpec } from "#sdk";
import { freePort } from "../harness/free-ports.ts";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";

const image = "atoll/debian";
const env = { ATOLL_POOL_SIZE: "2" };

interface Note {
  readonly id: string;
  readonly pid: number;
  readonly waiting: boolean;
  readonly held: readonly { readonly storageBytes: number }[];
  readonly containers: readonly string[];
}

describe("sandboxes made ahead", { timeout: 120_000 }, () => {
  let gateway: GatewayProcess | undefined;
  afterEach(async () => {
    await gateway?.dispose();
    gateway = undefined;
  }, 60_000);

  async function start(): Promise<{ client: Atoll; gateway: GatewayProcess }> {
    gateway = await startGateway({ env, port: await freePort() });
    return { client: new Atoll({ url: gateway.url }), gateway };
  }

  function notes(home: string): Note[] {
    return readdirSync(join(home, "boots")).flatMap((id) => {
      try {
        return [JSON.parse(readFileSync(join(home, "boots", id, "boot.json"), "utf8")) as Note];
      } catch {
        return [];
      }
    });
  }

  /** Waits until as many boots wait for a program as the pool keeps, and gives them. */
  async function ahead({ home }: GatewayProcess, count = 1): Promise<Note[]> {
    for (;;) {
      const waiting = notes(home).filter((note) => note.waiting && note.held.length > 0);
      if (waiting.length >= count) return waiting;
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Makes a sandbox like one that is to be made ahead, and removes it. */
  async function ask(client: Atoll, spec: SandboxSpec = { image }): Promise<void> {
    const sandbox = await client.sandboxes.create(spec);
    await sandbox.delete();
  }

  function bootOf(home: string, sandbox: Sandbox): string {
    return (JSON.parse(readFileSync(join(home, "sandboxes", `${sandbox.id}.json`), "utf8")) as { bootId: string })
      .bootId;
  }

  it("become what the next request asks for: program, environment, network, names", async () => {
    const { client, gateway } = await start();
    await ask(client);
    const [waiting] = await ahead(gateway);
    const big = "x".repeat(100_000);
    const sandbox = await client.sandboxes.create({
      containers: [
        { name: "other", image, command: ["sh", "-c", "cd /tmp; exec sleep 1000"], env: { BIG: big, A: "ä b" } },
      ],
      network: { allowInternetEgress: true },
    });
    expect(bootOf(gateway.home, sandbox)).toBe(waiting?.id);
    // Commands begin where the program is now, which may not have gone there yet.
    await expect.poll(async () => (await sandbox.commands.run(["pwd"])).stdout).toBe("/tmp\n");
    const { stdout } = await sandbox.commands.run([
      "sh",
      "-c",
      'echo "$A ${#BIG}"; cat /proc/1/comm; cat /etc/resolv.conf',
    ]);
    expect(stdout).toContain("ä b 100000\n");
    expect(stdout).toContain("nameserver 8.8.8.8");
    const main = await sandbox.commands.run([
      "sh",
      "-c",
      "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; ls -l $p/fd; done",
    ]);
    expect(main.stdout).toContain("sleep 1000");
    // Nothing of the waiting program is left: neither its process nor a descriptor of the host.
    expect(main.stdout).not.toMatch(/atoll-hold|pipe:.*host/);
  });

  it("say at once that a program is not there or cannot be run", async () => {
    const { client, gateway } = await start();
    await ask(client);
    for (const [command, message] of [
      [["no-such-program"], /has no program "no-such-program"/],
      [["/etc/passwd"], /"\/etc\/passwd" .* cannot be executed/],
      [["/nowhere/x"], /has no program/],
    ] as const) {
      const [waiting] = await ahead(gateway);
      await expect(client.sandboxes.create({ image, command: [...command] })).rejects.toThrow(message);
      const failed = (await client.sandboxes.list()).find(({ status }) => status === "Failed");
      const sandbox = await client.sandboxes.get(failed?.id ?? "");
      expect(sandbox.reason).toBe("CommandNotFound");
      expect(bootOf(gateway.home, sandbox)).toBe(waiting?.id);
      await sandbox.delete();
    }
  });

  it("are replaced when they die", async () => {
    const { client, gateway } = await start();
    await ask(client);
    const [waiting] = await ahead(gateway);
    process.kill(waiting?.pid ?? 0, "SIGKILL");
    while (notes(gateway.home).some((note) => note.id === waiting?.id))
      await new Promise((done) => setTimeout(done, 20));
    const sandbox = await client.sandboxes.create({ image });
    expect((await sandbox.commands.run(["echo", "alive"])).stdout).toBe("alive\n");
  });

  it("serve the gateway that comes after a killed one", async () => {
    const { client, gateway: first } = await start();
    await ask(client);
    const [waiting] = await ahead(first);
    await first.kill("SIGKILL");
    gateway = await startGateway({ home: first.home, port: first.port, env });
    const sandbox = await client.sandboxes.create({ image, network: { allowInternetEgress: true } });
    expect(bootOf(first.home, sandbox)).toBe(waiting?.id);
    expect((await sandbox.commands.run(["cat", "/etc/resolv.conf"])).stdout).toContain("nameserver 8.8.8.8");
  });

  it("with another disk or several containers are not taken for what was asked", async () => {
    const { client, gateway } = await start();
    await ask(client);
    const before = await ahead(gateway);
    const sandbox = await client.sandboxes.create({
      containers: [
        { name: "a", image },
        { name: "b", image, resources: { limits: { ephemeralStorage: "64Mi" } } },
      ],
    });
    expect(before.map(({ id }) => id)).not.toContain(bootOf(gateway.home, sandbox));
    const full = await sandbox.commands.run(["sh", "-c", "head -c 100M /dev/zero > /big"], { container: "b" });
    expect(full.stderr).toMatch(/No space/);
    const room = await sandbox.commands.run(["sh", "-c", "head -c 100M /dev/zero > /big"], { container: "a" });
    expect(room.exitCode).toBe(0);
  });
});
