import { silentLog } from "#core/log.ts";
import type { BackendUnderTest } from "../../runtime/test/conformance/backend-harness.ts";
import { describeBackend } from "../../runtime/test/conformance/backend.ts";
import { BASE_IMAGE, makeLocal, makeOtherImage } from "./local-backend.ts";
import { restartAgent } from "../harness/restart-agent.ts";

const make = async (): Promise<BackendUnderTest> => {
  const { backend, config, dispose } = await makeLocal();
  return {
    backend,
    image: BASE_IMAGE,
    missingImage: "atoll/debian:none",
    snapshots: { otherImage: await makeOtherImage(config) },
    restartAgent: async (id) =>
      restartAgent(await backend.agent(id, { signal: AbortSignal.timeout(10_000), log: silentLog })),
    dispose,
  };
};

describeBackend("local", make, { takesSnapshots: true });
