import { afterEach, describe, expect, it } from "vitest";
import { Atoll } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { leftOvers } from "./left-overs.ts";

const image = "atoll/debian";
const CYCLES = process.env["ATOLL_SOAK"] === "1" ? 300 : 40;
/** One of these kills per so many cycles. */
const KILL_EVERY = 5;

describe("nothing is left behind", { timeout: CYCLES * 10_000 }, () => {
  let gateway: GatewayProcess | undefined;
  afterEach(async () => {
    await gateway?.dispose();
    gateway = undefined;
  }, 60_000);

  async function settled(of: GatewayProcess): Promise<string[]> {
    const client = new Atoll({ url: of.url });
    for (let left = 1; left > 0; left = (await client.sandboxes.list()).length)
      await new Promise((done) => setTimeout(done, 50));
    return leftOvers(of);
  }

  it(`by ${CYCLES} creates and deletes with kills of the gateway at any moment`, async () => {
    gateway = await startGateway();
    const { home, port } = gateway;
    let seed = 1;
    const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let cycle = 0; cycle < CYCLES; cycle++) {
      const client = new Atoll({ url: gateway.url, maxRetries: 0 });
      const work = (async () => {
        const sandbox = await client.sandboxes.create({ image });
        await sandbox.commands.run(["true"]);
        await sandbox.delete();
      })().catch(() => undefined);
      if (cycle % KILL_EVERY === 0) {
        await new Promise((done) => setTimeout(done, random() * 600));
        await gateway.kill("SIGKILL");
        gateway = await startGateway({ home, port, env: { ATOLL_POOL_SIZE: random() < 0.5 ? "2" : "0" } });
      }
      await work;
    }
    // Sandboxes made ahead are no left-overs; the last gateway makes none and finds those of the others.
    await gateway.kill("SIGKILL");
    gateway = await startGateway({ home, port });
    const client = new Atoll({ url: gateway.url });
    await Promise.all((await client.sandboxes.list()).map(async ({ id }) => (await client.sandboxes.get(id)).delete()));
    expect((await settled(gateway)).filter((line) => !isAhead(line, gateway))).toEqual([]);
    await gateway.kill("SIGTERM");
    expect(leftOvers(gateway)).toEqual([]);
  });

  it("by 100 creates whose callers hang up before the answer", async () => {
    gateway = await startGateway({ env: { ATOLL_MAX_SANDBOXES: "200" } });
    const { url } = gateway;
    const body = JSON.stringify({ podTemplate: { containers: [{ image }] } });
    const headers = { "content-type": "application/json" };
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const hangUp = new AbortController();
        const answer = fetch(`${url}/v1/sandboxes`, { method: "POST", headers, body, signal: hangUp.signal }).catch(
          () => undefined,
        );
        setTimeout(() => hangUp.abort(), 20 + index * 5);
        const given = await answer;
        // An answer that came in time has a caller who knows the id.
        if (given?.ok) {
          const sandbox = (await given.json().catch(() => undefined)) as { id: string } | undefined;
          if (sandbox !== undefined) await fetch(`${url}/v1/sandboxes/${sandbox.id}`, { method: "DELETE" });
        }
      }),
    );
    expect((await settled(gateway)).filter((line) => !isAhead(line, gateway))).toEqual([]);
    await gateway.kill("SIGTERM");
    expect(leftOvers(gateway)).toEqual([]);
  });

  it("by an orderly end, which keeps sandboxes and removes all else", async () => {
    gateway = await startGateway({ env: { ATOLL_POOL_SIZE: "2" } });
    const { home, port } = gateway;
    const sandbox = await new Atoll({ url: gateway.url }).sandboxes.create({ image });
    await gateway.kill("SIGTERM");
    expect(leftOvers(gateway).filter((line) => line.startsWith("process runsc-sandbox"))).toHaveLength(1);
    gateway = await startGateway({ home, port });
    await (await new Atoll({ url: gateway.url }).sandboxes.get(sandbox.id)).delete();
    await settled(gateway);
    await gateway.kill("SIGTERM");
    expect(leftOvers(gateway)).toEqual([]);
  });
});

/** Links are made ahead while the gateway runs. */
function isAhead(line: string, gateway: GatewayProcess | undefined): boolean {
  return gateway !== undefined && /^(namespace|link|rule) /.test(line);
}
