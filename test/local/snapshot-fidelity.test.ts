import { afterAll, beforeAll, describe, it } from "vitest";
import { Atoll } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { expectRandomTreesRestored, treesOf } from "../snapshot/random-trees.ts";

const ROUNDS = process.env["ATOLL_SOAK"] === "1" ? 200 : 5;

describe("what is restored", { timeout: ROUNDS * 60_000 }, () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = await startGateway();
  }, 60_000);
  afterAll(() => gateway.dispose(), 60_000);

  it(`equals what was there, for ${treesOf(ROUNDS)} random trees over an image, each on top of the ones before`, async () => {
    const client = new Atoll({ url: gateway.url });
    await expectRandomTreesRestored({ client, image: "atoll/debian", rounds: ROUNDS, prefix: "tree" });
  });
});
