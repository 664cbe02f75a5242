import { silentLog } from "#core/log.ts";
import { describeBackend } from "../../runtime/test/conformance/backend.ts";
import { openBackend } from "../harness/cluster-backend.ts";
import { MISSING_IMAGE, TEST_IMAGE } from "../harness/cluster-images.ts";
import { startHostOperator } from "../harness/host-operator.ts";
import { restartAgent } from "../harness/restart-agent.ts";

describeBackend("kubernetes", async () => {
  const operator = await startHostOperator();
  const backend = await openBackend(operator);
  return {
    backend,
    image: TEST_IMAGE,
    missingImage: MISSING_IMAGE,
    // A lifetime counts from the moment a node takes the pod, which is a second or two before it runs.
    lifetimeSeconds: 8,
    restartAgent: async (id) =>
      restartAgent(await backend.agent(id, { signal: AbortSignal.timeout(10_000), log: silentLog })),
    dispose: () => operator.dispose(),
  };
});
