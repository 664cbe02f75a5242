import { systemClock } from "#core/clock.ts";
import { createKubeFetch } from "#core/kubernetes/node/kube-fetch.ts";
import { createLog, silentLog } from "#core/log.ts";
import { findClusterAccess } from "#runtime/backend/kubernetes/node/cluster-access.ts";
import {
  createKubernetesBackend,
  type KubernetesConfig,
} from "#runtime/backend/kubernetes/node/create-kubernetes-backend.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import type { Cluster } from "../cluster/cluster.ts";

const READY_MS = 30_000;
const PAUSE_MS = 50;

/** An operator that runs already, and where it works. */
interface RunningOperator extends KubernetesConfig {
  readonly cluster: Cluster;
  log?(): string;
}

/** The kubernetes backend in this process, beside an operator; resolves when it is ready. */
export async function openBackend(operator: RunningOperator): Promise<SandboxBackend> {
  const access = await findClusterAccess({ kubeconfig: operator.cluster.kubeconfig, env: {} });
  const backend = createKubernetesBackend(operator, {
    fetch: createKubeFetch(access, { userAgent: "atoll-test" }),
    clock: systemClock,
    log: createLog("warn", (line) => console.error(line), Date.now),
    random: Math.random,
  });
  const call = { signal: AbortSignal.timeout(READY_MS), log: silentLog };
  const isReady = (): Promise<boolean> =>
    backend.ready(call).then(
      () => true,
      () => false,
    );
  while (!(await isReady())) {
    if (call.signal.aborted) throw new Error(`The backend never was ready: ${operator.log?.() ?? ""}`);
    await systemClock.sleep(PAUSE_MS);
  }
  return backend;
}
