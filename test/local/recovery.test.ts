import { afterEach, describe, expect, it } from "vitest";
import { Atoll } from "#sdk";
import { freePort } from "../harness/free-ports.ts";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";

const image = "atoll/debian";

describe("a gateway that is killed", { timeout: 120_000 }, () => {
  let gateway: GatewayProcess | undefined;
  afterEach(async () => {
    await gateway?.dispose();
    gateway = undefined;
  }, 60_000);

  async function start(env: Record<string, string> = {}): Promise<Atoll> {
    gateway = await startGateway({ env, port: await freePort() });
    return new Atoll({ url: gateway.url });
  }

  /** Kills the gateway and starts another on what it left. */
  async function crash(env: Record<string, string> = {}): Promise<void> {
    if (gateway === undefined) throw new Error("No gateway runs");
    const { home, port } = gateway;
    await gateway.kill("SIGKILL");
    gateway = await startGateway({ home, port, env });
  }

  it("leaves sandboxes running; the next finds them with commands, output and files", async () => {
    const client = await start();
    const sandbox = await client.sandboxes.create({ image });
    await sandbox.filesystem.write("/root/kept", "kept");
    const done = await sandbox.commands.spawn(["sh", "-c", "echo before; exit 7"]);
    expect(await done.wait()).toBe(7);
    const going = await sandbox.commands.spawn([
      "sh",
      "-c",
      "for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done; exit 3",
    ]);
    await crash();
    const found = await client.sandboxes.get(sandbox.id);
    expect(found.status).toBe("Running");
    expect(new TextDecoder().decode(await found.filesystem.read("/root/kept"))).toBe("kept");
    let output = "";
    for await (const text of going.stdout) output += text;
    expect(output).toBe("1\n2\n3\n4\n5\n6\n");
    expect(await going.wait()).toBe(3);
    let earlier = "";
    for await (const text of done.stdout) earlier += text;
    expect(earlier).toBe("before\n");
    expect(await done.exitCode()).toBe(7);
  });

  it("keeps deadlines: a lifetime that ran out meanwhile ends the sandbox at once", async () => {
    const client = await start();
    const sandbox = await client.sandboxes.create({ image, timeoutSeconds: 2 });
    if (gateway === undefined) throw new Error("No gateway runs");
    const { home, port } = gateway;
    await gateway.kill("SIGKILL");
    await new Promise((done) => setTimeout(done, 2500));
    gateway = await startGateway({ home, port });
    const found = await client.sandboxes.get(sandbox.id);
    expect([found.status, found.reason]).toEqual(["Succeeded", "Timeout"]);
  });

  it("sees the end of a container that ended meanwhile", async () => {
    const client = await start();
    const sandbox = await client.sandboxes.create({ image, command: ["sh", "-c", "sleep 1; exit 4"] });
    if (gateway === undefined) throw new Error("No gateway runs");
    const { home, port } = gateway;
    await gateway.kill("SIGKILL");
    await new Promise((done) => setTimeout(done, 1500));
    gateway = await startGateway({ home, port });
    for (let status = ""; status !== "Failed";) {
      const found = await client.sandboxes.get(sandbox.id);
      status = found.status;
      expect(["Running", "Failed"]).toContain(status);
      if (status === "Failed") expect(found.message).toMatch(/4/);
      await new Promise((done) => setTimeout(done, 50));
    }
  });

  it("collects a sandbox whose creator was never answered, and finishes a removal", async () => {
    const client = await start();
    const doomed = await client.sandboxes.create({ image });
    const url = gateway?.url ?? "";
    const body = JSON.stringify({ podTemplate: { containers: [{ image }] } });
    const headers = { "content-type": "application/json" };
    const unanswered = fetch(`${url}/v1/sandboxes`, { method: "POST", headers, body }).catch(() => undefined);
    for (let seen = 0; seen < 2; seen = (await client.sandboxes.list()).length);
    void doomed.delete().catch(() => undefined);
    await new Promise((done) => setTimeout(done, 20));
    await crash();
    await unanswered;
    await expect.poll(() => client.sandboxes.list(), { timeout: 60_000, interval: 50 }).toEqual([]);
  });

  it("finishes the start of a sandbox that was asked for with an idempotency key", async () => {
    const client = await start();
    const url = gateway?.url ?? "";
    const body = JSON.stringify({ podTemplate: { containers: [{ image }] } });
    const headers = { "content-type": "application/json", "idempotency-key": "once" };
    const post = (): Promise<Response> => fetch(`${url}/v1/sandboxes`, { method: "POST", headers, body });
    const first = post().catch(() => undefined);
    while ((await client.sandboxes.list()).length === 0);
    await crash();
    await first;
    const again = (await (await post()).json()) as { id: string; status: string };
    expect(again.status).toBe("Running");
    expect(await client.sandboxes.list()).toHaveLength(1);
  });
});
