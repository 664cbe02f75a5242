import { systemClock } from "#core/clock.ts";
import { createKubeFetch } from "#core/kubernetes/node/kube-fetch.ts";
import { createLog, silentLog } from "#core/log.ts";
import { findClusterAccess } from "#runtime/backend/kubernetes/node/cluster-access.ts";
import { createKubernetesBackend } from "#runtime/backend/kubernetes/node/create-kubernetes-backend.ts";
import { describeBackend } from "../../runtime/test/conformance/backend.ts";
import { MISSING_IMAGE, TEST_IMAGE } from "../harness/cluster-images.ts";
import { startHostOperator } from "../harness/host-operator.ts";
import { restartAgent } from "../harness/restart-agent.ts";

const READY_MS = 30_000;

describeBackend("kubernetes", async () => {
  const operator = await startHostOperator();
  const access = await findClusterAccess({ kubeconfig: operator.cluster.kubeconfig, env: {} });
  const backend = createKubernetesBackend(operator, {
    fetch: createKubeFetch(access, { userAgent: "atoll-test" }),
    clock: systemClock,
    log: createLog("warn", (line) => console.error(line), Date.now),
    random: Math.random,
  });
  const call = () => ({ signal: AbortSignal.timeout(READY_MS), log: silentLog });
  const deadlineMs = Date.now() + READY_MS;
  const isReady = (): Promise<boolean> =>
    backend.ready(call()).then(
      () => true,
      () => false,
    );
  while (!(await isReady())) {
    if (Date.now() > deadlineMs) throw new Error(`The backend never was ready: ${operator.log()}`);
    await systemClock.sleep(50);
  }
  return {
    backend,
    image: TEST_IMAGE,
    missingImage: MISSING_IMAGE,
    // A lifetime counts from the moment a node takes the pod, which is a second or two before it runs.
    lifetimeSeconds: 8,
    restartAgent: async (id) => restartAgent(await backend.agent(id, call())),
    dispose: () => operator.dispose(),
  };
});
