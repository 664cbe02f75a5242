import { KubeConfig } from "@kubernetes/client-node";
import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { hostname } from "node:os";
import { systemClock, type Clock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { createLog } from "#core/log.ts";
import { serveStatus } from "#core/node/serve-status.ts";
import { createEventRecorder } from "../control/event-recorder.ts";
import { fenceWrites } from "../control/fence-writes.ts";
import { createLeadership } from "#core/kubernetes/control/leadership.ts";
import { createOperator } from "../control/operator.ts";
import { waitForAgentKeys } from "../control/agent-keys.ts";
import { OPERATOR_LEASE, OPERATOR_PATHS, readEnvironment } from "../manifest.ts";
import { createApiServerWays } from "../node/api-server-ways.ts";
import { createMetrics } from "../node/metrics.ts";
import { sandboxSettings } from "../sandbox-settings.ts";

const VERSION = "0.1.0";

const env = readEnvironment(process.env);
const log = createLog(env.ATOLL_LOG_LEVEL, (line) => writeSync(2, `${line}\n`), systemClock.now);
const clock = systemClock;
const monotonic: Clock = { now: () => performance.now(), sleep: systemClock.sleep };
const random = Math.random;
const instance = env.ATOLL_POD_NAME ?? hostname();
const namespace = env.ATOLL_SYSTEM_NAMESPACE;

const config = new KubeConfig();
config.loadFromDefault();
const metrics = createMetrics(clock.now);
const { work, lease } = createApiServerWays(config, `atoll-operator/${VERSION}`);
const reader = createKubeClient(work, { random, observe: metrics.apiCall });
const leadership = createLeadership({
  client: createKubeClient(lease, { random }),
  clock: monotonic,
  wallNow: clock.now,
  random,
  log,
  namespace,
  name: OPERATOR_LEASE,
  holder: `${instance}_${randomUUID()}`,
});
metrics.watchLeadership(leadership);
const mayWrite = (): boolean => !env.ATOLL_LEADER_ELECTION || leadership.isHeld;
const writer = createKubeClient(fenceWrites(work, mayWrite), { random, observe: metrics.apiCall });
const events = createEventRecorder({
  client: writer,
  clock,
  log,
  bytes: cryptoIds.bytes,
  instance,
  controller: "atoll.run/operator",
});
const operator = createOperator({
  reader,
  writer,
  clock,
  random,
  log,
  events,
  metrics,
  namespaces: env.ATOLL_SANDBOX_NAMESPACES,
  fencePrefix: env.ATOLL_FENCE_PREFIX,
  settings: ({ gatewayPublicKey }) => sandboxSettings(env, { version: VERSION, gatewayPublicKey }),
  ...(env.ATOLL_NETWORK_CHECK
    ? {
        networkTrial: {
          namespace,
          image: env.ATOLL_SIDECAR_IMAGE,
          imagePullPolicy: env.ATOLL_SIDECAR_IMAGE_PULL_POLICY,
          imagePullSecrets: env.ATOLL_IMAGE_PULL_SECRETS,
        },
      }
    : {}),
  concurrency: env.ATOLL_CONCURRENCY,
  withSnapshots: env.ATOLL_SNAPSHOTS,
});

const end = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => end.abort(new Error(name)));
const lead = async (term: AbortSignal): Promise<void> => {
  const keys = await waitForAgentKeys({ client: writer, clock, log, random }, namespace, term);
  if (keys !== undefined) await operator.lead(keys, term);
};

const servers = [
  await serveStatus(env.ATOLL_METRICS_LISTEN, {
    [OPERATOR_PATHS.metrics]: async () => ({ status: 200, ...(await metrics.render()) }),
  }),
  await serveStatus(env.ATOLL_HEALTH_LISTEN, {
    [OPERATOR_PATHS.live]: () => ({ status: 200, text: "ok\n" }),
    [OPERATOR_PATHS.ready]: () => {
      const waits = operator.waitsFor;
      return waits.length === 0
        ? { status: 200, text: "ok\n" }
        : { status: 503, text: `waits for ${waits.join(", ")}\n` };
    },
  }),
];
log.info("The operator runs", { version: VERSION, instance, namespaces: env.ATOLL_SANDBOX_NAMESPACES });
await Promise.all([
  operator.watch(end.signal),
  events.run(end.signal),
  env.ATOLL_LEADER_ELECTION ? leadership.run(end.signal, lead) : lead(end.signal),
]);
await Promise.all(servers.map((server) => server.close()));
log.info("The operator ended");
process.exit(0);
