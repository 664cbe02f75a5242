import { KubeConfig } from "@kubernetes/client-node";
import { appendFileSync } from "node:fs";
import { systemClock, type Clock } from "#core/clock.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { silentLog } from "#core/log.ts";
import { createLeadership } from "#core/kubernetes/control/leadership.ts";
import { createKubeFetch } from "#operator/node/kube-fetch.ts";

/**
 * A replica that notes each moment at which it may act, on the machine's one monotonic clock:
 * usage: leader-process.ts KUBECONFIG NAMESPACE HOLDER FILE. SIGTERM ends it in good order.
 */
const [kubeconfig = "", namespace = "", holder = "", file = ""] = process.argv.slice(2);
const NOTE_MS = 2;

const config = new KubeConfig();
config.loadFromFile(kubeconfig);
const clock: Clock = { ...systemClock, now: () => performance.now() };
const leadership = createLeadership({
  client: createKubeClient(createKubeFetch(config)),
  clock,
  wallNow: Date.now,
  random: Math.random,
  log: silentLog,
  namespace,
  name: "leader",
  holder,
});

/** The moment is taken before the right is looked at: the process may be stopped in between. */
function note(): void {
  const atMs = Number(process.hrtime.bigint() / 1_000_000n);
  if (leadership.isHeld) appendFileSync(file, `${holder} ${atMs}\n`);
}

const noting = setInterval(note, NOTE_MS);
const abort = new AbortController();
process.once("SIGTERM", () => abort.abort(new Error("SIGTERM")));
await leadership.run(abort.signal, async (term) => {
  await new Promise((resolve) => term.addEventListener("abort", resolve, { once: true }));
});
clearInterval(noting);
