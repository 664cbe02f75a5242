import { afterAll, beforeAll, it } from "vitest";
import { Atoll } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";
import { expectLossesTold } from "../snapshot/losses-told.ts";

let gateway: GatewayProcess;
beforeAll(async () => {
  gateway = await startGateway();
}, 60_000);
afterAll(() => gateway?.dispose(), 60_000);

it("what a snapshot lacks is told in its record, kind by kind", async () => {
  await expectLossesTold({ client: new Atoll({ url: gateway.url }), image: "atoll/debian", prefix: "losses" });
}, 120_000);
