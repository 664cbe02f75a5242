import { writeSync } from "node:fs";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { systemClock, type Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import { cryptoIds } from "#core/ids.ts";
import { createLeadership } from "#core/kubernetes/control/leadership.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { SNAPSHOT_COLLECTOR_LEASE } from "#core/kubernetes/names.ts";
import { createKubeFetch } from "#core/kubernetes/node/kube-fetch.ts";
import { podAccess } from "#core/kubernetes/node/pod-access.ts";
import { createLog } from "#core/log.ts";
import { createNodeMounter } from "../control/node-mounter.ts";
import { createQuota } from "../domain/quota.ts";
import { createSpareDisk } from "../domain/spare-disk.ts";
import { MOUNTER_PATHS, readNodeEnvironment } from "../manifest.ts";
import { createArchive } from "../node/archive/create-archive.ts";
import { createLayerCache } from "../node/cache/layer-cache.ts";
import { createDumper } from "../node/dump/create-dumper.ts";
import { lookForLosses } from "../node/dump/look-for-losses.ts";
import { runCheckpoint } from "../node/dump/run-checkpoint.ts";
import { claimFolder } from "../node/folder-claim.ts";
import { createMetrics } from "../node/metrics.ts";
import { createMergedTars } from "../node/restore/merged-tars.ts";
import { createRestoreFiles } from "../node/restore/restore-files.ts";
import { createRestoreWork } from "../node/restore/create-restore-work.ts";
import { serveKubelet } from "../node/serve-kubelet.ts";
import { COLLECT_PATIENCE, collectSnapshots } from "../node/snapshot/collect-snapshots.ts";
import { createSnapshotWork } from "../node/snapshot/create-snapshot-work.ts";
import { removeSnapshot } from "../node/snapshot/remove-snapshot.ts";
import { createStaging } from "../node/staging.ts";
import { openStore } from "../storage/node/open-store.ts";
import { chooseCredentials } from "../storage/store-credentials.ts";

const VERSION = "0.1.0";
/** Letters and digits of an attempt's id: enough that two never meet. */
const ATTEMPT_CHARS = 12;
/** Each node renews or watches it: a short one would be a load on the API server, and nothing waits for it. */
const LEASE_SECONDS = 60;
/** Pods of a node are some hundreds at most; each asks once. */
const MOST_HELD = 1024;
const LEASE_CONNECTIONS = 2;
/** Less than kubelet grants. */
const FINISH_MS = 20_000;

const env = readNodeEnvironment(process.env);
const clock = systemClock;
const random = Math.random;
const log = createLog(env.ATOLL_LOG_LEVEL, (line) => writeSync(2, `${line}\n`), clock.now);
const access = podAccess(process.env);
if (access === undefined) throw new RangeError("The mounter of a node runs in a pod: there is no account of one here");
const metrics = createMetrics(clock.now);
const userAgent = `atoll-mounter/${VERSION}`;
const client = createKubeClient(createKubeFetch(access, { userAgent }), { random, observe: metrics.apiCall });
const leaseFetch = createKubeFetch(access, { userAgent, maxConnections: LEASE_CONNECTIONS });
const monotonic: Clock = { now: () => performance.now(), sleep: clock.sleep };
const leadership = createLeadership({
  client: createKubeClient(leaseFetch, { random }),
  clock: monotonic,
  wallNow: clock.now,
  random,
  log,
  namespace: env.ATOLL_SYSTEM_NAMESPACE,
  name: SNAPSHOT_COLLECTOR_LEASE,
  holder: `${env.ATOLL_POD_NAME}_${randomUUID()}`,
  leaseSeconds: LEASE_SECONDS,
});

const store = await openStore(env.ATOLL_SNAPSHOT_STORE, {
  clock,
  random,
  newMark: () => cryptoIds.commandId(),
  credentials: chooseCredentials(env),
});
const end = new AbortController();
const claims = [
  await claimFolder(env.ATOLL_MOUNTER_DIR, clock, end.signal),
  await claimFolder(env.ATOLL_RESTORE_FOLDER, clock, end.signal),
];
const archive = createArchive();
const reserveBytes = env.ATOLL_DISK_RESERVE_BYTES;
const maxBytes = env.ATOLL_MOUNTER_STAGING_BYTES;
const cacheBytes = env.ATOLL_MOUNTER_CACHE_BYTES;
// Archives are made of cached layers again sooner than those come from the store.
const spare = createSpareDisk();
// What is renamed and linked into its place lies beside it; no namespace has such a name.
const files = await createRestoreFiles(env.ATOLL_RESTORE_FOLDER);
const tars = await createMergedTars(
  { dir: join(env.ATOLL_RESTORE_FOLDER, ".archives"), maxBytes, keptBytes: cacheBytes, reserveBytes },
  clock,
  spare,
);
const cache = await createLayerCache(
  { dir: join(env.ATOLL_MOUNTER_DIR, "cache"), maxBytes: cacheBytes, reserveBytes },
  { store, clock, spare },
);
const stagingIn = (folder: string, name: string) =>
  createStaging({ dir: join(folder, name), maxBytes, reserveBytes, spare });
const staging = await stagingIn(env.ATOLL_MOUNTER_DIR, "staging");
const restoreStaging = await stagingIn(env.ATOLL_RESTORE_FOLDER, ".staging");
const runsc = { path: env.ATOLL_RUNSC, rootDir: env.ATOLL_RUNSC_ROOT };
const dump = createDumper(
  {
    checkpoint: (command) => runCheckpoint(runsc, command),
    losses: (target, signal) => lookForLosses(runsc, target, signal),
    staging,
    clock,
    log,
  },
  // As many containers without a limit of disk as are saved at once have room.
  { mostBytes: maxBytes, unlimitedBytes: Math.floor(maxBytes / env.ATOLL_CONCURRENCY) },
);
const newAttempt = (): string => cryptoIds.sandboxId().slice(0, ATTEMPT_CHARS);
const mounter = createNodeMounter({
  client,
  nodeName: env.ATOLL_NODE_NAME,
  namespaces: env.ATOLL_SANDBOX_NAMESPACES,
  snapshotWork: createSnapshotWork({ store, clock, newAttempt, archive, dump }, { mostTarBytes: maxBytes }),
  restoreWork: createRestoreWork(
    { store, archive, cache, staging: restoreStaging, tars, files, slots: createQuota(env.ATOLL_CONCURRENCY) },
    { mostTarBytes: maxBytes },
  ),
  removeData: async ({ namespace, snapshotName, writeId }, signal) => {
    await removeSnapshot(store, { namespace, name: snapshotName, writeId }, { signal });
  },
  collectNamespace: (namespace, signal) => collectSnapshots(store, { namespace, ...COLLECT_PATIENCE }, { signal }),
  slots: createQuota(env.ATOLL_CONCURRENCY),
  clock,
  random,
  log,
  metrics,
});

/** What is nearly done is done: the next life would begin it anew, and a container that waits for its stop would lose its snapshot. */
async function finish(name: string): Promise<void> {
  const late = (): Error => new Error("It takes too long");
  const deadline = { clock, timeoutMs: FINISH_MS, signal: end.signal, late };
  await withDeadline(deadline, (signal) => mounter.quiet(signal)).catch(() => undefined);
  end.abort(new Error(name));
}
for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => void finish(name));
const server = await serveKubelet({
  port: env.ATOLL_RESTORE_PORT,
  mostHeld: MOST_HELD,
  hold: mounter.hold,
  routes: {
    [MOUNTER_PATHS.live]: () => ({ status: 200, text: "ok\n" }),
    [MOUNTER_PATHS.ready]: () => {
      const { waitsFor } = mounter;
      return waitsFor.length === 0
        ? { status: 200, text: "ok\n" }
        : { status: 503, text: `waits for ${waitsFor.join(", ")}\n` };
    },
    [MOUNTER_PATHS.metrics]: async () => ({ status: 200, ...(await metrics.render()) }),
  },
});
metrics.watch({
  snapshots: () => mounter.active.snapshots,
  restores: () => mounter.active.restores,
  held: () => server.held,
  isCollector: () => leadership.isHeld,
  diskBytes: () => ({
    staging: staging.promisedBytes,
    restoreStaging: restoreStaging.promisedBytes,
    archives: tars.bytes,
    cache: cache.usage().bytes + cache.usage().promisedBytes,
  }),
});
log.info("The mounter runs", { version: VERSION, node: env.ATOLL_NODE_NAME, store: store.name });
await Promise.all([mounter.run(end.signal), leadership.run(end.signal, (term) => mounter.collect(term))]);
await server.close();
await cache.close();
store.close();
claims.forEach((claim) => claim.release());
log.info("The mounter ended");
process.exit(0);
