import { silentLog } from "#core/log.ts";
import { planNetwork } from "#core/network.ts";
import { createNet } from "#runtime/backend/local/node/net.ts";
import { DEFAULT_NET } from "#runtime/backend/local/network.ts";

/** Makes, shapes and removes links without an end, until it is killed. */
const net = await createNet(DEFAULT_NET, { log: silentLog });
const plan = planNetwork(
  { allowInternetEgress: true, egressRateLimitBytesPerSecond: 1_000_000 },
  { clusterResolvers: [] },
);
console.log("churning");
async function churn(): Promise<never> {
  for (;;) {
    const link = await net.attach();
    await net.apply(link, plan);
    await net.detach(link);
  }
}
await Promise.all([churn(), churn(), churn()]);
